"""Words found on a picture, and the encoder of their pictures."""

import numpy as np
import pymupdf
import pytest
from PIL import Image

from ragkit.engine.calls import Request
from ragkit.errors import InputError
from ragkit.models.word_boxes import HEIGHT, WIDTH, cut_words, word_boxes
from ragkit.models.word_images import WordImageEncoder, load, query_words, save
from ragkit.models.word_network import grams, network
from ragkit.tuning.word_images import collect, pairs_of, train

SENTENCE = "Winter wheat is sown in autumn and harvested in summer"


@pytest.fixture(scope="module")
def page():
    pdf = pymupdf.open()
    made = pdf.new_page(width=400, height=120)
    made.insert_text((20, 40), SENTENCE, fontsize=12)
    made.draw_rect((10, 60, 390, 100), fill=(0.1, 0.1, 0.4), color=None)
    made.insert_text((20, 85), "Light on dark", fontsize=12, color=(1, 1, 1))
    return made


def picture(page, dpi=150):
    pixels = page.get_pixmap(dpi=dpi, colorspace="gray")
    return Image.frombytes("L", (pixels.width, pixels.height), pixels.samples)


def test_words_are_found_without_being_read(page):
    boxes = word_boxes(np.asarray(picture(page)))
    dark = [box for box in boxes if not box.inverted]
    assert len(dark) == len(SENTENCE.split())
    assert len([box for box in boxes if box.inverted]) == 3
    written = [[150 / 72 * side for side in word[:4]] for word in page.get_text("words")]
    for box, (x0, y0, x1, y1) in zip(sorted(dark, key=lambda box: box.x0), written, strict=False):
        assert abs(box.x0 - x0) < 6
        assert abs(box.x1 - x1) < 6
        assert y0 - 2 < box.y0 < box.y1 < y1 + 2


def test_an_empty_picture_has_no_words():
    assert word_boxes(np.full((200, 100), 255, np.uint8)) == []
    assert cut_words(Image.new("L", (9, 9)), []).shape == (0, HEIGHT, WIDTH)


def test_light_words_look_like_dark_ones(page):
    grey = picture(page)
    cut = cut_words(grey, word_boxes(np.asarray(grey)))
    assert cut.min() >= 0
    assert cut.max() <= 1
    for word in cut:  # ink is less than ground
        assert 0.02 < word.mean() < 0.5


def test_pairs_are_the_words_of_the_text_layer(page):
    spelt = [word for _, word in pairs_of(page, 150)]
    assert sorted(spelt) == sorted([*SENTENCE.lower().split(), "light", "on", "dark"])


def test_a_query_is_its_words_without_stop_words():
    assert query_words("What was the yield of Wheat in 2,019?") == ["yield", "wheat", "2,019"]
    assert query_words("What is it?") == ["what", "is", "it"]


def test_letters_say_where_they_stand():
    assert grams("abc") != grams("cab")
    assert grams("wheat") == grams("wheat")


def test_training_brings_pictures_near_their_words_and_repeats_itself(tmp_path):
    words = ["wheat", "maize", "barley", "meadow", "river", "harvest", "autumn", "field"]
    pairs = collect([], 2, 0, words)
    assert len(pairs.words) > 100
    made, facts = train(pairs, 0.05, 0, lambda text: None)
    assert facts["steps"] >= 1
    save(made, tmp_path / "words", facts)
    encoder = WordImageEncoder(model=str(tmp_path / "words"), device="cpu")
    encoder.ensure_open()
    (reply,) = encoder.execute("embed_tokens", [Request("embed_tokens", {"text": "wheat and maize", "kind": "query"})])
    assert reply.value.shape == (2, 128)
    np.testing.assert_allclose(np.linalg.norm(reply.value, axis=1), 1, atol=1e-5)
    assert encoder.describe()["model"].startswith("sha256:")


class Shown:
    key = "page"

    def __init__(self, page):
        self.page = page

    def open(self):
        return picture(self.page).convert("RGB")


def test_a_page_is_the_list_of_its_words(page, tmp_path):
    save(network(), tmp_path / "words", {})
    encoder = WordImageEncoder(model=str(tmp_path / "words"), device="cpu")
    encoder.ensure_open()
    (reply,) = encoder.execute("embed_patches", [Request("embed_patches", {"image": "page"}, payload=Shown(page))])
    assert reply.value.shape == (len(SENTENCE.split()) + 3, 128)
    again = load(tmp_path / "words")
    kept = encoder._weights.state_dict()
    assert all((value == kept[name]).all() for name, value in again.state_dict().items())


def test_a_folder_without_a_network_says_so(tmp_path):
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        WordImageEncoder(model=str(tmp_path)).describe()
