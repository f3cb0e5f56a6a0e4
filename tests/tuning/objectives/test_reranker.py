"""Reranker tuning on a tiny random encoder: what is learned, and what the result can be used for."""

import pytest
from ranking_rows import Killed, contents, job, kill_at, rows
from tiny_models import encoder

from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError
from ragkit.models.sentence_transformers_models import CrossEncoderReranker
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.objectives.reranker import Reranker

SHORT = TrainingSettings(steps=6, batch_size=4, learning_rate=0.01, max_length=64, save_every=2)
LONG = TrainingSettings(steps=40, batch_size=4, learning_rate=0.01, max_length=64)
SMALL = {"passages": 4, "query_length": 16}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("base"))


def model(base, **changes):
    return CrossEncoderReranker(**{"model": base, "device": "cpu", "dtype": "float32"} | changes)


def hits(reranker):
    """Return for how many rows the passage that serves scores above the others of the row."""

    def scoring(row):
        async def score():
            return [await reranker.score(row.query, text) for text in (*row.positives, *row.negatives)]

        return score

    found = [outcome.value for outcome in run_tasks([scoring(row) for row in rows()])]
    return sum(scores[0] == max(scores) for scores in found)


@pytest.mark.parametrize(("loss", "taught"), [("list", None), ("lambda", None), ("bce", None), ("distil", 6.0)])
def test_an_encoder_becomes_a_reranker_by_an_adapter(base, tmp_path, loss, taught):
    done = Reranker(loss=loss, **SMALL).train(job(model(base), tmp_path, rows=rows(taught), training=LONG))
    assert done.steps == 40 and done.figures["rows"] == 8
    assert done.figures["last"]["loss"] < done.figures["first"]["loss"]
    assert hits(model(base, adapter=str(tmp_path / "adapter"))) == 8
    assert set(contents(tmp_path)) == {
        "adapter_config.json", "adapter_model.safetensors", "pair_scorer.json", "pair_scorer.safetensors",
    }  # fmt: skip


@pytest.mark.parametrize("head", ["pair", "classifier"])
def test_all_weights_become_a_model_of_their_own(base, tmp_path, head):
    training = LONG.model_copy(update={"learning_rate": 0.003})
    objective = Reranker(head=head, head_learning_rate=0.01, **SMALL)
    objective.train(job(model(base), tmp_path, training=training, adapter=AdapterSettings(type="full")))
    tuned = model(str(tmp_path / "adapter"))
    assert hits(tuned) == 8
    assert tuned.fingerprint() != model(base).fingerprint()


def test_a_killed_training_goes_on_to_the_same_bytes(base, tmp_path):
    objective = Reranker(**SMALL)
    objective.train(job(model(base), tmp_path / "whole", training=SHORT))
    with pytest.raises(Killed):
        objective.train(job(model(base), tmp_path / "killed", training=SHORT, on_step=kill_at(5)))
    done = objective.train(job(model(base), tmp_path / "killed", training=SHORT, resume=True))
    assert done.figures["resumed_at_step"] == 4
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_training_goes_on_from_an_adapter_with_its_head(base, tmp_path):
    first = Reranker(**SMALL).train(job(model(base), tmp_path / "one", training=LONG))
    start = AdapterSettings(start=str(tmp_path / "one/adapter"))
    Reranker(**SMALL).check(start)
    second = Reranker(**SMALL).train(job(model(base), tmp_path / "two", training=SHORT, adapter=start))
    assert second.figures["first"]["loss"] < 0.7 * first.figures["first"]["loss"]


def test_settings_that_do_not_go_together_are_refused(base, tmp_path):
    with pytest.raises(InputError, match="trained with all weights"):
        Reranker(head="classifier").check(AdapterSettings())
    with pytest.raises(InputError, match="the rows have none: name a teacher"):
        Reranker(loss="distil", **SMALL).train(job(model(base), tmp_path))
    with pytest.raises(InputError, match="3 negatives, too few for 8 passages"):
        Reranker(query_length=16).train(job(model(base), tmp_path))
    with pytest.raises(InputError, match="leaves no room for passages"):
        Reranker().train(job(model(base), tmp_path, training=TrainingSettings(max_length=64)))
