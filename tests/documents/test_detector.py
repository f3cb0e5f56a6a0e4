import pytest

from ragkit.documents.detector import Region, TransformersDetector, detected
from ragkit.documents.pages import Page, PageObject
from ragkit.errors import InputError

TOLD = PageObject(
    "a.pdf#p3.table1", "table", (100.0, 100.0, 300.0, 200.0), "Table 4: Yields", "Table 4", (0, 30), (("x", "y"),), 1
)
PAGE = Page("a.pdf", 3, 600.0, 800.0, "Table 4: Yields and so on, to thirty", (TOLD,))


def pixels(box, dpi=144):
    return tuple(side * dpi / 72 for side in box)


def test_a_region_takes_over_what_the_pdf_tells_of_its_table():
    (one,) = detected(PAGE, [Region("Table", pixels((95, 90, 310, 210)), 0.93)], 144)
    assert one.box == (95.0, 90.0, 310.0, 210.0)
    assert (one.caption, one.label, one.rows, one.span) == (TOLD.caption, TOLD.label, TOLD.rows, TOLD.span)
    assert one.score == 0.93


def test_a_region_alone_is_an_object_without_text():
    regions = [Region("Picture", pixels((50, 400, 250, 600)), 0.8), Region("Text", pixels((0, 0, 600, 90)), 0.99)]
    (one,) = detected(PAGE, regions, 144)
    assert (one.id, one.category, one.rows, one.caption) == ("a.pdf#p3.figure1", "figure", (), "")


def test_the_surer_of_two_regions_is_kept_and_boxes_stay_on_the_page():
    regions = [
        Region("picture", pixels((500, 700, 700, 900)), 0.9),
        Region("Figure", pixels((505, 705, 690, 890)), 0.6),
        Region("Picture", pixels((10, 10, 10.5, 10.5)), 0.9),
    ]
    (one,) = detected(PAGE, regions, 144)
    assert one.box == (500.0, 700.0, 600.0, 800.0)
    assert one.score == 0.9


@pytest.mark.models
def test_a_detector_of_transformers_is_loaded_and_run(tmp_path):
    from PIL import Image
    from transformers import DetrImageProcessor, YolosConfig, YolosForObjectDetection, set_seed

    set_seed(0)
    names = {"id2label": {0: "Caption", 1: "Table", 2: "Picture"}, "label2id": {"Caption": 0, "Table": 1, "Picture": 2}}
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = YolosConfig(**size, **names, image_size=[32, 32], patch_size=8, num_detection_tokens=4)
    YolosForObjectDetection(config).save_pretrained(tmp_path)
    DetrImageProcessor(size={"shortest_edge": 32, "longest_edge": 32}).save_pretrained(tmp_path)
    for region in TransformersDetector(str(tmp_path)).detect(Image.new("RGB", (60, 40), "white")):
        assert region.label in names["label2id"]
        assert 0 <= region.score <= 1


@pytest.mark.models
def test_a_detector_of_cats_is_refused(tmp_path):
    from transformers import DetrImageProcessor, YolosConfig, YolosForObjectDetection

    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = YolosConfig(**size, id2label={0: "cat"}, label2id={"cat": 0}, image_size=[32, 32], patch_size=8)
    YolosForObjectDetection(config).save_pretrained(tmp_path)
    DetrImageProcessor().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="a model trained on DocLayNet"):
        TransformersDetector(str(tmp_path))


def test_a_folder_without_a_model_says_so(tmp_path):
    with pytest.raises(InputError, match="cannot be loaded as an object detector"):
        TransformersDetector(str(tmp_path))
