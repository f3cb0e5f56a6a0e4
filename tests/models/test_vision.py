"""Tiny models with random weights of the real architectures, through their real processors."""

import asyncio

import numpy as np
import pytest
from PIL import Image
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPProcessor,
    ColPaliConfig,
    ColPaliForRetrieval,
    ColPaliProcessor,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
    SiglipProcessor,
    set_seed,
)

from ragkit.engine.calls import Request
from ragkit.errors import InputError
from ragkit.models.embedded import locate
from ragkit.models.sentence_transformers_images import SentenceTransformerImageEncoder
from ragkit.models.vision import TransformersImageEncoder, TransformersPageEncoder

pytestmark = pytest.mark.models

CPU = {"device": "cpu", "dtype": "float32"}
TOWER = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION = TOWER | {"image_size": 32, "patch_size": 8}
TEXTS = ["a red field", "clay soil holds water " * 40]


class Shown:
    """A picture of one colour."""

    def __init__(self, *colour):
        self.colour = colour
        self.key = str(colour)

    def open(self):
        return Image.new("RGB", (50, 70), self.colour)


PICTURES = [Shown(200, 30, 30), Shown(10, 10, 240), Shown(200, 30, 30)]


def tokenizer(limit):
    made = AutoTokenizer.from_pretrained(locate("embedded:all-minilm-l6-v2")[0])
    made.model_max_length = limit
    return made


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder, words = tmp_path_factory.mktemp("clip"), tokenizer(24)
    set_seed(0)
    text = TOWER | {"vocab_size": len(words), "max_position_embeddings": 24, "eos_token_id": words.sep_token_id}
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)).save_pretrained(folder)
    sizes = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPProcessor(CLIPImageProcessor(**sizes), words).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    folder, words = tmp_path_factory.mktemp("siglip"), tokenizer(24)
    set_seed(0)
    text = TOWER | {"vocab_size": len(words), "max_position_embeddings": 24, "projection_size": 32}
    SiglipModel(SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    SiglipProcessor(SiglipImageProcessor(size={"height": 32, "width": 32}), words).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def colpali(tmp_path_factory):
    folder, words = tmp_path_factory.mktemp("colpali"), tokenizer(512)
    words.add_special_tokens({"bos_token": "[CLS]", "eos_token": "[SEP]"})
    images = SiglipImageProcessor(size={"height": 32, "width": 32})
    images.image_seq_length = 16
    processor = ColPaliProcessor(images, words)
    set_seed(0)
    vlm = {
        "model_type": "paligemma",
        "text_config": TOWER
        | {"model_type": "gemma", "vocab_size": len(processor.tokenizer), "num_key_value_heads": 1, "head_dim": 16},
        "vision_config": VISION | {"model_type": "siglip_vision_model", "projection_dim": 32},
        "image_token_index": processor.image_token_id,
        "projection_dim": 32,
    }
    ColPaliForRetrieval(ColPaliConfig(vlm_config=vlm, embedding_dim=8)).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def answers(encoder, op, requests):
    encoder.ensure_open()
    return [np.asarray(reply.value) for reply in encoder.execute(op, requests)]


def looked(op):
    return [Request(op, {"image": picture.key}, payload=picture) for picture in PICTURES]


@pytest.fixture(params=["clip", "siglip"])
def image_encoder(request):
    return TransformersImageEncoder(model=request.getfixturevalue(request.param), **CPU)


def test_texts_and_pictures_have_vectors_of_one_space(image_encoder):
    texts = answers(image_encoder, "embed", [Request("embed", {"text": text, "kind": "query"}) for text in TEXTS])
    pictures = answers(image_encoder, "embed_image", looked("embed_image"))
    assert {vector.shape for vector in [*texts, *pictures]} == {texts[0].shape}
    for vector in [*texts, *pictures]:
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(pictures[0], pictures[2], atol=1e-6)
    assert not np.allclose(pictures[0], pictures[1], atol=1e-4)


def test_clip_vectors_are_those_of_transformers(clip):
    import torch

    (own, *_) = answers(TransformersImageEncoder(model=clip, **CPU), "embed_image", looked("embed_image"))
    processor, model = CLIPProcessor.from_pretrained(clip), CLIPModel.from_pretrained(clip).eval()
    with torch.inference_mode():
        theirs = model.get_image_features(**processor(images=PICTURES[0].open(), return_tensors="pt")).pooler_output[0]
    np.testing.assert_allclose(own, (theirs / theirs.norm()).numpy(), atol=1e-5)


def test_a_picture_is_embedded_by_name_outside_a_run(clip):
    vector = asyncio.run(TransformersImageEncoder(model=clip, **CPU).embed_image(PICTURES[0]))
    assert vector.shape == (16,)
    assert not vector.flags.writeable


def test_clip_of_sentence_transformers(clip):
    encoder = SentenceTransformerImageEncoder(model=clip, **CPU)
    pictures = answers(encoder, "embed_image", looked("embed_image"))
    texts = answers(encoder, "embed", [Request("embed", {"text": "a red field", "kind": "query"})])
    assert pictures[0].shape == texts[0].shape == (16,)
    theirs = answers(TransformersImageEncoder(model=clip, **CPU), "embed_image", looked("embed_image"))
    np.testing.assert_allclose(pictures, theirs, atol=1e-5)


def test_a_model_of_texts_is_no_image_encoder():
    encoder = TransformersImageEncoder(model="embedded:all-minilm-l6-v2", **CPU)
    with pytest.raises(InputError, match="has no vectors of pictures"):
        encoder.ensure_open()


def test_colpali_has_a_vector_for_each_token_and_patch(colpali):
    encoder = TransformersPageEncoder(model=colpali, **CPU)
    asked = [Request("embed_tokens", {"text": text, "kind": "query"}) for text in ["red field", "clay soil of a field"]]
    queries = answers(encoder, "embed_tokens", asked)
    pictures = answers(encoder, "embed_patches", looked("embed_patches"))
    assert queries[0].shape[0] < queries[1].shape[0]
    assert {matrix.shape[1] for matrix in [*queries, *pictures]} == {8}
    assert pictures[0].shape[0] >= 16
    for matrix in [*queries, *pictures]:
        np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(pictures[0], pictures[2], atol=1e-6)


def test_padding_changes_no_vector_of_colpali(colpali):
    encoder = TransformersPageEncoder(model=colpali, **CPU)
    short, long = (Request("embed_tokens", {"text": text, "kind": "query"}) for text in ("red", "red field " * 9))
    (alone,), (beside, _) = answers(encoder, "embed_tokens", [short]), answers(encoder, "embed_tokens", [short, long])
    np.testing.assert_allclose(alone, beside, atol=1e-5)


def test_a_clip_is_no_page_encoder(clip):
    with pytest.raises(InputError, match="no late-interaction model"):
        TransformersPageEncoder(model=clip, **CPU).ensure_open()
