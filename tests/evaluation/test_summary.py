import json
import math
from dataclasses import dataclass

import pytest
from evaluation_builders import FAILURE, passage, prediction, question

from ragkit.errors import InputError
from ragkit.evaluation.metrics import PerQuestion, parse_metric
from ragkit.evaluation.summary import Estimate, summarise

QUESTIONS = [
    question("1", ("Paris",), ("a",), type="bridge"),
    question("2", ("Rome",), ("b",), type="bridge"),
    question("3", ("Oslo",), (), type="table"),
    question("4", (), (), type="table", answerable=False),
]
PREDICTIONS = [
    prediction("1", "Paris", (passage("a"),)),
    prediction("2", None, error=FAILURE, flags=["budget"]),
    prediction("3", "Bergen", (passage("b"),), flags=["budget", "truncated"]),
    prediction("4", None, flags=["abstained"]),
]
METRICS = [parse_metric(name) for name in ("em", "recall@5", "tokens")]


def test_figures_of_a_run():
    summary = summarise(QUESTIONS, PREDICTIONS, METRICS)
    assert (summary.overall.questions, summary.overall.failures) == (4, 1)
    em, recall, tokens = summary.overall.metrics.values()
    assert (em.value, em.n, em.excluded) == (0.5, 4, 0)
    assert em.low <= em.value <= em.high
    assert (recall.value, recall.n, recall.excluded) == (0.5, 2, 2)
    assert tokens == Estimate(34, 34, 34, n=4, excluded=0)
    assert summary.flags == {"abstained": 1, "budget": 2, "truncated": 1}
    assert summary.scores["recall@5"] == [1, 0, None, None]
    assert summary.quality == ("em", "recall@5")


def test_figures_per_type():
    types = summarise(QUESTIONS, PREDICTIONS, METRICS).types
    assert list(types) == ["bridge", "table"]
    assert (types["bridge"].questions, types["bridge"].failures) == (2, 1)
    assert types["table"].metrics["em"].value == 0.5
    assert types["table"].metrics["recall@5"] == Estimate(None, None, None, n=0, excluded=2)


def test_predictions_may_come_in_any_order():
    assert summarise(QUESTIONS, PREDICTIONS[::-1], METRICS) == summarise(QUESTIONS, PREDICTIONS, METRICS)


def test_json_is_strict_and_complete():
    content = json.loads(summarise(QUESTIONS, PREDICTIONS, METRICS).to_json())
    assert content["questions"] == 4
    assert content["failures"] == 1
    assert content["confidence"] == 0.95
    assert set(content["metrics"]["em"]) == {"value", "low", "high", "n", "excluded", "failures"}
    assert content["types"]["table"]["metrics"]["recall@5"]["value"] is None
    assert content["quality"] == [str(metric) for metric in METRICS if metric.needs]
    groups = {"types", "curves", "stages", "judges"}
    assert set(content) == groups | {"questions", "failures", "metrics", "confidence", "quality", "flags"}


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (PREDICTIONS[:2], "2 questions have no prediction, the first is '3'"),
        ([*PREDICTIONS, prediction("9")], "1 predictions belong to no question, the first is '9'"),
        ([*PREDICTIONS, PREDICTIONS[0]], "1 predictions repeat the id of another"),
    ],
)
def test_questions_and_predictions_must_belong_together(predictions, message):
    with pytest.raises(InputError, match=message):
        summarise(QUESTIONS, predictions, METRICS)


@dataclass(frozen=True)
class Broken(PerQuestion):
    name = "broken"
    source = "a plugin with a mistake"

    def score(self, question, prediction):
        return math.nan


def test_a_nan_has_no_way_into_a_mean():
    with pytest.raises(ValueError, match="'broken' of question '1' is not a finite number: nan"):
        summarise(QUESTIONS, PREDICTIONS, [Broken()])


def test_costs_from_elsewhere_are_averaged_too():
    summary = summarise(QUESTIONS, PREDICTIONS, METRICS, costs={"seconds": [1.0, None, 2.0, 3.0]})
    seconds = summary.overall.metrics["seconds"]
    assert (seconds.value, seconds.n, seconds.excluded) == (2.0, 3, 1)
    assert summary.types["bridge"].metrics["seconds"] == Estimate(1, 1, 1, n=1, excluded=1)
    assert "seconds" not in summary.quality
    with pytest.raises(ValueError, match="'seconds' has 1 values for 4 questions"):
        summarise(QUESTIONS, PREDICTIONS, METRICS, costs={"seconds": [1.0]})


def test_no_metrics_and_no_questions():
    assert summarise([], [], METRICS).overall.metrics["em"] == Estimate(None, None, None, n=0, excluded=0)
    assert summarise(QUESTIONS, PREDICTIONS, []).quality == ()
