"""The gate promotes what is better on held-out questions, and nothing else."""

import json
from types import SimpleNamespace

import pytest
from gate_farm import AnswerSure, RetrieveEcho, model, openers, pipeline

from ragkit import Pipeline
from ragkit.errors import InputError
from ragkit.evaluation.judges import RubricJudge
from ragkit.evaluation.split import part_of
from ragkit.models import ScriptedModel
from ragkit.settings import RunSettings
from ragkit.tuning.gate import GateSettings, run_gate

NOTHING = model(lambda name, number: False)
EVERYTHING = model(lambda name, number: True)
HALF = model(lambda name, number: number % 2 == 0)


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("RAGKIT_HOME", str(tmp_path / "home"))


@pytest.fixture
def gate(tmp_path):
    """Compare two readers: `gate(base, tuned, sets, metric=..., ...)`."""

    def compare(base, tuned, sets, out="gate", run=None, **settings):
        settings = GateSettings(**{"metric": "em", "forgetting": False} | settings)
        both = (openers(reader, sets, **run or {}) for reader in (base, tuned))
        return run_gate(settings, *both, model="reader", out=tmp_path / out)

    return compare


def test_a_better_model_is_promoted_on_test_questions_only(gate, tmp_path):
    result = gate(HALF, EVERYTHING, {"a": 100})
    held_out = [f"a-{k}" for k in range(100) if part_of(f"a-{k}") == "test"]
    asked = [json.loads(line)["id"] for line in (tmp_path / "gate" / "a" / "tuned" / "predictions.jsonl").open()]
    assert asked == held_out
    assert result.promoted
    (reason,) = result.reasons
    change = result.pooled["em"]
    wrong = sum(int(name[2:]) % 2 for name in held_out)
    assert (change.n, change.wins, change.losses) == (len(held_out), wrong, 0)
    assert change.difference == pytest.approx(wrong / len(held_out))
    assert 0 < change.low < change.difference < change.high
    assert change.tuned.value == 1.0
    assert reason.startswith(f"em rose by {change.difference:.3f} (95 % interval +")
    assert result.lost == []


def test_an_equal_model_is_not_promoted(gate):
    result = gate(HALF, model(lambda name, number: number % 2 == 0), {"a": 60})
    assert not result.promoted
    assert result.reasons == [
        f"em stayed (95 % interval +0.000 to +0.000, n {result.pooled['em'].n}): not surely above 0"
    ]


def test_a_worse_model_is_not_promoted_and_its_losses_are_told(gate):
    result = gate(EVERYTHING, HALF, {"a": 100})
    assert not result.promoted
    assert result.reasons[0].startswith("em fell by")
    assert any(line.startswith("a: em fell by") for line in result.lost)
    assert not any("recall@1" in line for line in result.lost)


def test_few_wins_may_be_chance(gate):
    asked = [k for k in range(30) if part_of(f"a-{k}") == "test"]
    result = gate(NOTHING, model(lambda name, number: number in asked[:4]), {"a": 30}, limit=4)
    assert result.pooled["em"].low == 1.0  # an interval of no width is no certainty
    assert not result.promoted
    assert result.reasons == [
        "em rose by 1.000 (95 % interval +1.000 to +1.000, n 4), p 0.125: too few questions to tell it from chance"
    ]


def test_at_least_asks_for_more_than_any_rise(gate):
    assert not gate(HALF, EVERYTHING, {"a": 100}, at_least=0.6).promoted
    assert gate(HALF, EVERYTHING, {"a": 100}, at_least=0.1).promoted


def test_a_tolerated_fall_needs_no_rise(gate):
    result = gate(EVERYTHING, model(lambda name, number: True), {"a": 60}, at_least=-0.02)
    assert result.promoted


def test_a_guard_holds_in_every_set(gate):
    tuned = model(lambda name, number: name == "a" or number % 2 == 0)
    base = model(lambda name, number: name == "b")
    sets = {"a": 200, "b": 60}
    assert gate(base, tuned, sets, out="free").promoted
    guarded = gate(base, tuned, sets, guards={"em": 0.01})
    assert not guarded.promoted
    fell = -guarded.sets["b"].changes["em"].difference
    assert guarded.reasons == [f"em fell by {fell:.3f} on b; 0.01 is tolerated"]
    assert [line.partition(" fell")[0] for line in guarded.lost if ": em" in line] == ["b: em"]
    assert guarded.pooled["em"].difference > 0


def test_a_guard_that_looks_at_nothing_does_not_pass(gate):
    result = gate(HALF, EVERYTHING, {"a": 100}, guards={"abstention": 0.1})
    assert result.reasons == ["abstention, a guard, could be compared on no question"]


def test_rankings_pass_the_same_gate(tmp_path):
    def searching(sees):
        return openers(NOTHING, {"a": 100}, stages=[RetrieveEcho(sees=sees)], metrics=["recall@1"])

    settings = GateSettings(metric="recall@1", forgetting=False)
    better = run_gate(settings, searching("4"), searching(""), model="reader", out=tmp_path / "gate")
    assert better.promoted
    assert better.pooled["recall@1"].tuned.value == 1.0
    assert better.forgetting is None
    worse = run_gate(settings, searching(""), searching("4"), model="reader", out=tmp_path / "worse")
    assert worse.lost == [f"a: {worse.reasons[0].partition(':')[0]}"]


def test_the_rank_of_confidence_is_compared(gate):
    result = gate(HALF, EVERYTHING, {"a": 100}, run={"answer": AnswerSure})
    change = result.pooled["confidence_ap(of=f1)"]
    assert change.tuned.value == 1.0
    assert change.base.value < 1  # the wrong answers are the longer ones, and so the surer
    assert change.difference == pytest.approx(1 - change.base.value)
    assert change.p is None
    assert 0 < change.low <= change.difference <= change.high
    assert change.quality


def test_an_oracle_is_shown_and_may_decide(gate, tmp_path):
    shown = gate(HALF, EVERYTHING, {"a": 100}, oracles=["read"])
    assert shown.promoted
    assert shown.oracles["read"]["em"].difference == 0.0
    assert (tmp_path / "gate" / "a" / "tuned,_oracle_read" / "predictions.jsonl").exists()
    deciding = gate(HALF, EVERYTHING, {"a": 100}, oracles=["read"], oracles_decide=True)
    assert deciding.reasons[0].startswith("em with oracle read stayed")


def test_an_oracle_that_fits_nothing_is_noted(gate):
    result = gate(HALF, EVERYTHING, {"a": 60}, oracles=["rerank"])
    assert "a, base: --oracle rerank: no step of the pipeline is called so" in result.notes[0]


def test_a_judge_that_is_the_tuned_model_is_noted(tmp_path):
    def both(reader):
        return openers(reader, {"a": 40}, judges={"fine": RubricJudge(models=(reader,))})

    def judge(prompt):
        return "pass" if "grade" in prompt.lower() else "answer"

    readers = [ScriptedModel(reply=judge), ScriptedModel(reply=judge)]
    result = run_gate(
        GateSettings(metric="em", forgetting=False), *map(both, readers), model="reader", out=tmp_path / "gate"
    )
    assert result.notes == ["the judge 'fine' asks the tuned model itself, so it is another one before and after"]


@pytest.fixture
def probed(monkeypatch):
    """A probe in which the model that knows everything else forgot the facts."""

    def probe(model, *, cache, on_progress):
        lost = model is EVERYTHING
        scores = {"facts": [0.2 if lost else 0.9] * 8, "text": [-2.0, -1.0, -3.0]}
        return SimpleNamespace(scores=scores, left_out={} if lost else {"instructions": "no chat template"})

    monkeypatch.setattr("ragkit.tuning.gate.probe", probe)


def test_what_was_forgotten_is_told_and_may_decide(gate, probed):
    shown = gate(HALF, EVERYTHING, {"a": 100, "b": 40}, forgetting=True)
    assert shown.promoted
    assert shown.lost == ["forgetting probe: facts fell by 0.700 (95 % interval -0.700 to -0.700, n 8)"]
    assert shown.forgetting["text"].difference == 0.0
    assert shown.notes == ["forgetting probe: instructions was left out: no chat template"]
    deciding = gate(HALF, EVERYTHING, {"a": 100}, out="x", forgetting=True, tolerated_forgetting=0.1)
    assert deciding.reasons == ["forgetting: facts fell by 0.700; 0.1 is tolerated"]


def test_a_baseline_without_the_model_is_not_probed(tmp_path, probed):
    base = openers(HALF, {"a": 100}, called="other")
    tuned = openers(EVERYTHING, {"a": 100})
    result = run_gate(GateSettings(metric="em"), base, tuned, model="reader", out=tmp_path / "gate")
    assert result.forgetting is None
    assert result.notes[-1] == "forgetting probe: a pipeline has no model 'reader', so there is nothing to compare"


def test_sets_without_test_questions(gate):
    result = gate(HALF, EVERYTHING, {"a": 100, "none": 1})
    assert result.notes == ["none: no question of it is in the test part"]
    assert list(result.sets) == ["a"]
    with pytest.raises(InputError, match="none of the sets"):
        gate(HALF, EVERYTHING, {"none": 1}, out="other")


def test_the_result_is_json(gate):
    result = gate(HALF, EVERYTHING, {"a": 100}, oracles=["read"])
    data = json.loads(result.to_json())
    assert data["sets"]["a"]["changes"]["em"]["tuned"]["value"] == 1.0
    assert data["promoted"] is True


def test_a_gate_goes_on_where_it_was(gate, tmp_path):
    first = gate(HALF, EVERYTHING, {"a": 60})
    (tmp_path / "gate" / "a" / "tuned" / "predictions.jsonl").unlink()
    again = gate(HALF, EVERYTHING, {"a": 60})
    assert again.pooled["em"] == first.pooled["em"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metric": "fone"}, "gate.metric: .*fone"),
        ({"metric": "em", "guards": {"tokens": 0.1}}, "gate.guards: decide by a metric of quality"),
    ],
)
def test_metrics_that_cannot_decide_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        GateSettings(**settings).check(pipeline(NOTHING))


def test_answers_are_not_judged_where_none_are_written():
    ranking = Pipeline([RetrieveEcho()], name="ranking", run=RunSettings())
    with pytest.raises(InputError, match=r"gate\.metric: 'f1' judges answers, but the pipeline 'ranking' writes none"):
        GateSettings().check(ranking)
    GateSettings(metric="recall@5").check(ranking)
