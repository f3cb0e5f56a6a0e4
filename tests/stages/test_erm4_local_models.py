"""ERM4's rewriter and filter on a tiny local model: decoding under the grammar, probabilities of labels."""

import asyncio
import sys
from pathlib import Path

import pytest

from ragkit import Passage
from ragkit.errors import ReplyError
from ragkit.models import TransformersModel
from ragkit.stages import FilterKnowledge, RewritePlus
from ragkit.stages.rewritten import GRAMMAR

sys.path.append(str(Path(__file__).parents[1] / "models"))
from tiny_generators import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny_model(tmp_path_factory.mktemp("model"))
    return TransformersModel(model=str(folder), dtype="float32", device="cpu")


def test_a_local_model_is_held_to_the_text_form(model):
    prompt = RewritePlus(model=model, form="text").render("Where was the director of Salt Road born?", ())

    def written(grammar):
        try:
            return asyncio.run(model.generate(prompt, max_new_tokens=90, grammar=grammar)).text
        except ReplyError as cut:  # a random model seldom comes to an end
            return cut.reply

    assert written(GRAMMAR).startswith("Rewritten Question:\n") and not written(None).startswith("Rewritten")
    stage = RewritePlus(model=model, form="text", grammar=True, max_new_tokens=8)
    assert asyncio.run(stage.run("Who?"))["vars.rewritten"] is False  # cut in the middle of the first header


def test_labels_of_a_local_model_have_probabilities(model):
    documents = (Passage(id="a", page_content="Salt Road is a film."), Passage(id="b", page_content="Potatoes."))
    stage = FilterKnowledge(model=model, prompt="filter.knowledge.text", threshold=0.0)
    written = asyncio.run(stage.run("Who made Salt Road?", documents))
    assert [passage.id for passage in written["documents"]] == ["a", "b"]
    found = [verdict.probability for verdict in written["vars.verdicts"]]
    assert all(0 < value < 1 for value in found) and found[0] != found[1]
