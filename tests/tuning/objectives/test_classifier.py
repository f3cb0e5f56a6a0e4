"""Classifier tuning on a tiny random encoder: what is learned, and what the result can be used for."""

import asyncio
import math

import pytest
from ranking_rows import Killed, contents, job, kill_at
from tiny_models import encoder

from ragkit.errors import InputError
from ragkit.models import ClassifierModel
from ragkit.models.base import ENTAILMENT
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.objectives.classifier import ClassifierObjective, balanced
from ragkit.tuning.rows import LabelRow

LONG = TrainingSettings(steps=60, batch_size=6, learning_rate=0.01, max_length=48)
SHORT = TrainingSettings(steps=6, batch_size=4, learning_rate=0.01, max_length=48, save_every=2)
OBJECTIVE = ClassifierObjective(statement_length=16, head_learning_rate=0.01)
COLOURS = ("red", "blue", "green", "white")


def pairs():
    """Texts that name the statement's colour, say that it is not so, or are about something else."""
    texts = {"entailment": "paint is {}", "contradiction": "paint is never {}", "neutral": "wood is dry"}
    return [
        LabelRow(statement=f"the paint is {colour}", text=text.format(colour), label=label, origin={"set": "paint"})
        for colour in COLOURS
        for label, text in texts.items()
    ]


def texts():
    return [LabelRow(text=f"{word} {colour} thing", label=label) for colour in COLOURS
            for label, word in (("polite", "please"), ("rude", "stupid"))]  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("base"))


def model(base, **changes):
    return ClassifierModel(**{"model": base, "device": "cpu", "dtype": "float32"} | changes)


def right(classifier, rows):
    def ask(row):
        return classifier.entail(row.text, row.statement) if row.statement else classifier.classify(row.text)

    async def all_of_them():
        return await asyncio.gather(*map(ask, rows))

    choices = asyncio.run(all_of_them())
    assert all(math.fsum(map(math.exp, choice.logprobs.values())) == pytest.approx(1) for choice in choices)
    return sum(choice.label == row.label for choice, row in zip(choices, rows, strict=True)) / len(rows)


def test_an_encoder_becomes_an_entailment_model(base, tmp_path):
    done = OBJECTIVE.train(job(model(base), tmp_path, rows=pairs(), validation=pairs(), training=LONG))
    assert done.steps == 60 and done.figures["labels"] == sorted(ENTAILMENT)
    tuned = model(base, adapter=str(tmp_path / "adapter"))
    assert right(tuned, pairs()) >= 0.9
    assert done.figures["validation"]["rows"] == 12
    assert done.figures["validation"]["accuracy"] == pytest.approx(right(tuned, pairs()))
    assert done.figures["validation"]["macro_f1"] > 0.9
    assert set(contents(tmp_path)) == {
        "adapter_config.json", "adapter_model.safetensors", "classifier.json", "classifier.safetensors",
    }  # fmt: skip
    assert tuned.fingerprint() != model(base).fingerprint()


def test_single_texts_are_classified_and_are_no_entailment(base, tmp_path):
    OBJECTIVE.train(job(model(base), tmp_path, rows=texts(), training=LONG))
    tuned = model(base, adapter=str(tmp_path / "adapter"))
    assert right(tuned, texts()) == 1
    with pytest.raises(InputError, match="tells polite, rude, which is no entailment"):
        asyncio.run(tuned.entail("a", "b"))


def test_all_weights_become_a_model_of_their_own(base, tmp_path):
    training = LONG.model_copy(update={"learning_rate": 0.003})
    OBJECTIVE.train(job(model(base), tmp_path, rows=texts(), training=training, adapter=AdapterSettings(type="full")))
    assert right(model(str(tmp_path / "adapter")), texts()) == 1


def test_a_killed_training_goes_on_to_the_same_bytes(base, tmp_path):
    OBJECTIVE.train(job(model(base), tmp_path / "whole", rows=pairs(), training=SHORT))
    with pytest.raises(Killed):
        OBJECTIVE.train(job(model(base), tmp_path / "killed", rows=pairs(), training=SHORT, on_step=kill_at(5)))
    done = OBJECTIVE.train(job(model(base), tmp_path / "killed", rows=pairs(), training=SHORT, resume=True))
    assert done.figures["resumed_at_step"] == 4
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")


def test_training_goes_on_from_a_classifier(base, tmp_path):
    first = OBJECTIVE.train(job(model(base), tmp_path / "one", rows=texts(), training=LONG))
    start = AdapterSettings(start=str(tmp_path / "one/adapter"))
    OBJECTIVE.check(start)
    second = OBJECTIVE.train(job(model(base), tmp_path / "two", rows=texts(), training=SHORT, adapter=start))
    assert second.figures["first"]["loss"] < 0.5 * first.figures["first"]["loss"]
    with pytest.raises(InputError, match="does not know the label contradiction, entailment, neutral"):
        OBJECTIVE.train(job(model(base), tmp_path / "three", rows=pairs(), training=SHORT, adapter=start))


def test_labels_and_their_sets_take_turns():
    rows = [LabelRow(text="x", label="often", origin={"set": "a"}) for _ in range(40)]
    rows += [LabelRow(text="x", label="often", origin={"set": "b"}) for _ in range(2)]
    rows += [LabelRow(text="x" * n, label="seldom", origin={"set": "a"}) for n in range(3)]
    plan = balanced(rows, 400, 4, seed=1)
    assert plan == balanced(rows, 400, 4, seed=1) != balanced(rows, 400, 4, seed=2)
    counts = [plan.count(number) for number in range(len(rows))]
    assert (sum(counts[:40]), sum(counts[40:42]), sum(counts[42:])) == (100, 100, 200)
    assert max(counts[:40]) - min(counts[:40]) <= 1


def test_what_does_not_go_together_is_refused(base, tmp_path):
    with pytest.raises(InputError, match=r"one label only \(polite\)"):
        OBJECTIVE.train(job(model(base), tmp_path, rows=texts()[::2]))
    with pytest.raises(InputError, match="leaves no room for texts"):
        ClassifierObjective().train(job(model(base), tmp_path, rows=texts()))
    with pytest.raises(InputError, match="no head of a classifier"):
        OBJECTIVE.check(AdapterSettings(start="embedded:retriever"))
    with pytest.raises(InputError, match="holds no classifier"):
        asyncio.run(model(base).classify("a"))
    with pytest.raises(InputError, match="holds no classifier"):
        asyncio.run(model(base, adapter="embedded:retriever").classify("a"))
