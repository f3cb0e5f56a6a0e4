"""Retriever tuning on a tiny random encoder: what is learned, in what batches, and what the result can be used for."""

import asyncio
import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from ranking_rows import Killed, contents, job, kill_at, rows
from tiny_models import encoder

from ragkit.engine.tasks import run_tasks
from ragkit.errors import InputError
from ragkit.models.sentence_transformers_models import SentenceTransformerEncoder
from ragkit.tuning.job import AdapterSettings, TrainingSettings
from ragkit.tuning.objectives.encoders import drawn_rows, planned
from ragkit.tuning.objectives.retriever import Bank, Retriever, query_loss
from ragkit.tuning.objectives.trainer import last_checkpoint
from ragkit.tuning.rows import RankingRow

LONG = TrainingSettings(steps=40, batch_size=4, learning_rate=0.02, max_length=64)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return encoder(tmp_path_factory.mktemp("base"))


def model(base, **changes):
    return SentenceTransformerEncoder(**{"model": base, "device": "cpu", "dtype": "float32"} | changes)


def hits(encoder):
    """Return for how many rows the passage that serves is nearer than the others of the row."""

    def distances(row):
        async def embed():
            query = await encoder.embed(row.query)
            return [float(query @ await encoder.embed(text, "passage")) for text in (*row.positives, *row.negatives)]

        return embed

    found = [outcome.value for outcome in run_tasks([distances(row) for row in rows()])]
    return sum(scores[0] == max(scores) for scores in found)


@pytest.mark.parametrize(
    ("settings", "taught"),
    [
        ({"loss": "contrastive", "negatives": 2}, None),
        ({"loss": "contrastive", "texts": "queries"}, None),
        ({"loss": "margin_mse", "negatives": 3}, 1.5),
        ({"loss": "kl", "negatives": 3}, 1.0),
    ],
)
def test_a_lora_learns_which_passage_serves_which_query(base, tmp_path, settings, taught):
    steps = []
    done = Retriever(**settings).train(
        job(model(base), tmp_path, rows=rows(taught), training=LONG, on_step=steps.append)
    )
    assert done.steps == 40 and done.figures["rows"] == 8
    assert done.figures["last"]["loss"] < done.figures["first"]["loss"]
    assert steps[-1].step == 40
    tuned = model(base, adapter=str(tmp_path / "adapter"))
    assert hits(tuned) == 8 > hits(model(base))


def test_all_weights_become_a_model_of_their_own(base, tmp_path):
    Retriever().train(job(model(base), tmp_path, training=LONG, adapter=AdapterSettings(type="full")))
    tuned = model(str(tmp_path / "adapter"))
    assert hits(tuned) > hits(model(base))
    assert tuned.describe() != model(base).describe()


def test_an_index_of_the_base_is_refused_by_a_tuned_encoder_but_not_by_one_tuned_for_queries(base, tmp_path):
    for texts in ("all", "queries"):
        Retriever(texts=texts).train(job(model(base), tmp_path / texts))
    untuned = model(base)
    whole, queries = (model(base, adapter=str(tmp_path / texts / "adapter")) for texts in ("all", "queries"))
    assert len({encoder.fingerprint() for encoder in (untuned, whole, queries)}) == 3
    assert whole.describe() != untuned.describe()
    assert queries.describe() == untuned.describe()
    texts = [("passage", "red paint"), ("query", "warm colour"), ("passage", "black ink")]
    found = {
        name: [outcome.value for outcome in run_tasks([partial(encoder.embed, text, kind) for kind, text in texts])]
        for name, encoder in (("base", untuned), ("queries", queries))
    }
    same = [np.allclose(a, b, atol=1e-6) for a, b in zip(found["base"], found["queries"], strict=True)]
    assert same == [True, False, True]


def test_a_share_of_the_change_is_kept(base, tmp_path):
    for name, strength in (("whole", 1.0), ("half", 0.5), ("bit", 1e-6)):
        Retriever(strength=strength).train(job(model(base), tmp_path / name))
    tuned = {name: model(base, adapter=str(tmp_path / name / "adapter")) for name in ("whole", "half", "bit")}
    vectors = {
        name: run_tasks([partial(encoder.embed, "warm colour")])[0].value
        for name, encoder in ({"base": model(base)} | tuned).items()
    }
    moved = {name: float(np.linalg.norm(vectors[name] - vectors["base"])) for name in tuned}
    assert moved["whole"] > moved["half"] > moved["bit"]
    assert moved["bit"] < 1e-4


@pytest.mark.parametrize("texts", ["all", "queries"])
def test_a_killed_training_goes_on_to_the_same_bytes(base, tmp_path, texts):
    objective = Retriever(texts=texts)
    objective.train(job(model(base), tmp_path / "whole"))
    with pytest.raises(Killed):
        objective.train(job(model(base), tmp_path / "killed", on_step=kill_at(5)))
    assert last_checkpoint(tmp_path / "killed/checkpoints").name == "checkpoint-4"
    done = objective.train(job(model(base), tmp_path / "killed", resume=True))
    assert done.figures["resumed_at_step"] == 4
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert not list((tmp_path / "whole").rglob("*.bin"))


def test_another_seed_gives_another_adapter(base, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        training = TrainingSettings(steps=2, batch_size=4, max_length=64, seed=seed)
        Retriever().train(job(model(base), tmp_path / name, training=training))
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_a_micro_batch_changes_nothing_but_the_memory(base, tmp_path):
    losses = []
    for name, micro in (("whole", None), ("parts", 1)):
        training = TrainingSettings(steps=3, batch_size=4, micro_batch=micro, max_length=64, learning_rate=0.01)
        losses.append(Retriever().train(job(model(base), tmp_path / name, training=training)).figures["last"]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_training_goes_on_from_an_adapter(base, tmp_path):
    first = Retriever().train(job(model(base), tmp_path / "one", training=LONG))
    start = AdapterSettings(start=str(tmp_path / "one/adapter"))
    second = Retriever().train(job(model(base), tmp_path / "two", adapter=start))
    assert second.figures["first"]["loss"] < 0.7 * first.figures["first"]["loss"]


def test_batches_hold_one_set_and_no_passage_that_serves_another_query():
    many = [*rows(), RankingRow(query="warm colour too", positives=("red paint",), origin={"set": "bright"})]
    draw = drawn_rows(many, each_positive=True, positives=1, negatives=0)
    plan = planned(many, draw, steps=6, size=2, seed=0, apart=True)
    for batch in (plan[start : start + 2] for start in range(0, 12, 2)):
        one, other = (many[example.row] for example in batch)
        assert one.origin == other.origin
        assert set(one.positives).isdisjoint(other.positives)
    assert plan == planned(many, draw, steps=6, size=2, seed=0, apart=True)


def test_rows_that_fill_no_batch_are_refused(base, tmp_path):
    training = TrainingSettings(steps=1, batch_size=9, max_length=64)
    with pytest.raises(InputError, match="8 rows do not fill one batch of 9"):
        Retriever().train(job(model(base), tmp_path, training=training))


def test_settings_that_do_not_go_together_are_refused(base, tmp_path):
    lora, full = AdapterSettings(), AdapterSettings(type="full")
    with pytest.raises(InputError, match="goes with loss contrastive"):
        Retriever(texts="queries", loss="kl").check(lora)
    with pytest.raises(InputError, match="are for adapters"):
        Retriever(strength=0.5).check(full)
    with pytest.raises(InputError, match="lora or full, not prompt_tuning"):
        Retriever().check(AdapterSettings(type="prompt_tuning"))
    with pytest.raises(InputError, match="the rows have none: name a teacher"):
        Retriever(loss="kl", negatives=2).train(job(model(base), tmp_path))
    Retriever(texts="queries", strength=0.5).check(lora)
    Retriever().check(full)


def test_the_result_says_what_it_is(base, tmp_path):
    Retriever(texts="queries").train(job(model(base), tmp_path))
    config = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == base and config["inference_mode"] is True
    assert json.loads((tmp_path / "adapter/ragkit_encoder.json").read_text()) == {"texts": "queries"}
    assert set(contents(tmp_path)) == {"adapter_config.json", "adapter_model.safetensors", "ragkit_encoder.json"}


def mrr(encoder, asked):
    """Return the MRR of rows' queries among the passages of their set."""

    async def ask():
        total = 0.0
        for row in asked:
            own = [other for other in asked if other.origin == row.origin]
            texts = dict.fromkeys(text for other in own for text in (*other.positives, *other.negatives))
            query = await encoder.embed(row.query)
            scores = {text: float(query @ await encoder.embed(text, "passage")) for text in texts}
            total += 1 / (1 + sum(score > scores[row.positives[0]] for score in scores.values()))
        return total / len(asked)

    return asyncio.run(ask())


def test_the_share_that_is_kept_is_chosen_on_validation_rows(base, tmp_path):
    objective = Retriever(texts="queries", strength="validation")
    done = objective.train(job(model(base), tmp_path / "good", validation=rows()))
    reached = done.figures["validation_mrr"]
    assert list(reached) == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert reached["0"] == pytest.approx(mrr(model(base), rows()))
    kept = mrr(model(base, adapter=str(tmp_path / "good/adapter")), rows())
    assert kept == pytest.approx(max(reached.values())) and kept > reached["0"]


def test_nothing_is_kept_where_the_base_is_best(base, tmp_path):
    known = [text for row in rows() for text in (*row.positives, *row.negatives)]

    async def nearest(query):
        vector = await model(base).embed(query)
        scores = [float(vector @ await model(base).embed(text, "passage")) for text in known]
        return known[int(np.argmax(scores))]

    ideal = []
    for row in rows():
        best = asyncio.run(nearest(row.query))
        others = tuple(text for text in known if text != best)
        ideal.append(RankingRow(query=row.query, positives=(best,), negatives=others))
    objective = Retriever(texts="queries", strength="validation")
    done = objective.train(job(model(base), tmp_path, validation=ideal, training=LONG))
    assert done.figures["validation_mrr"]["1"] < done.figures["validation_mrr"]["0"] == 1
    assert done.figures["strength"] == 0
    tuned = model(base, adapter=str(tmp_path / "adapter"))
    queries = [asyncio.run(encoder.embed("warm colour")) for encoder in (tuned, model(base))]
    assert np.allclose(*queries, atol=1e-6)


def test_a_share_to_be_chosen_needs_validation_rows_and_frozen_passages(base, tmp_path):
    with pytest.raises(InputError, match="goes with 'texts: queries'"):
        Retriever(strength="validation").check(AdapterSettings())
    with pytest.raises(InputError, match=r"raise training\.watched"):
        Retriever(texts="queries", strength="validation").train(job(model(base), tmp_path))


class Fixed(torch.nn.Module):
    """Embeds everything as one vector, which is trained."""

    def __init__(self, vector):
        super().__init__()
        self.vector = torch.nn.Parameter(torch.tensor(vector))

    def forward(self, features):
        return {"sentence_embedding": self.vector[None]}


def bank_of(positives, *vectors):
    """Return a bank of one set and one row, whose vectors have gradients."""
    bank = Bank.__new__(Bank)
    bank.sets, bank.positives = [""], [positives]
    bank.vectors = {"": torch.tensor(vectors, requires_grad=True)}
    return bank


def test_the_contrastive_loss_of_a_query_is_that_computed_by_hand():
    bank = bank_of([0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0])
    loss = query_loss(Fixed([1.0, 0.0]), bank, 1.0)([{}], torch.tensor([0]))
    assert loss.item() == pytest.approx(-math.log(math.e / (math.e + 2)), abs=1e-6) == pytest.approx(0.551445, abs=1e-6)


def test_what_serves_too_is_never_pushed_away():
    bank = bank_of([0, 3], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0], [1.0, 0.0])
    loss = query_loss(Fixed([1.0, 0.0]), bank, 1.0)([{}], torch.tensor([0]))
    assert loss.item() == pytest.approx(0.551445, abs=1e-6)
    only_first = query_loss(Fixed([1.0, 0.0]), bank_of([0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]), 1.0)
    assert loss.item() == pytest.approx(only_first([{}], torch.tensor([0])).item(), abs=1e-6)
    loss.backward()
    along = bank.vectors[""].grad @ torch.tensor([1.0, 0.0])
    assert along[0] < 0 and along[3] < 0 < along[1] and along[2] > 0


def test_a_negative_with_the_text_of_a_positive_is_none(base, tmp_path):
    row = RankingRow(query="warm colour", positives=("red paint",), negatives=("blue paint", "red paint", "ice"))
    bank = Bank([row], model(base), job(model(base), tmp_path))
    assert bank.vectors[""].shape[0] == 3 and bank.positives == [[0]]
