"""ERM4's own metrics: the values that its code gives."""

import pytest
from evaluation_builders import FAILURE, prediction, question

from ragkit.evaluation.metrics import parse_metric
from ragkit.evaluation.metrics.erm4_legacy import legacy_em, legacy_hit, legacy_overlap, outputs_of, plain, rectified

OVERLAPS = [
    (["paris"], ["paris"], (1, 1, 1)),
    (["the city of paris", "london"], ["paris"], (0.556, 1, 0.714)),
    (["london"], ["paris"], (0, 0, 0)),
    (["paris"], ["paris", "city of light"], (0.667, 0.333, 0.444)),
]


@pytest.mark.parametrize(("outputs", "golds", "expected"), OVERLAPS)
def test_overlap_of_letters(outputs, golds, expected):
    assert legacy_overlap(outputs, golds) == pytest.approx(expected, abs=5e-4)


def test_hits_and_exact_matches():
    assert plain("  The U.S., again ") == "the us again"
    assert legacy_hit(["I know"], ["no"]) == 1 and legacy_hit([], ["no"]) == 0
    assert legacy_hit("paris", ["paris"]) == 0  # a bare text is taken letter by letter, as there
    assert rectified(["old Paris", "x"], ["Paris", "y"]) == ["Paris", "None", "None", "None"]
    assert legacy_em(["old Paris"], ["Paris"]) == 1 and legacy_em(["none"], ["Paris"]) == 0


def test_outputs_of_an_answer():
    assert outputs_of('["a", "b"]') == ["a", "b"]
    assert outputs_of("a, b") == ["a, b"] and outputs_of("[1]") == ["[1]"] and outputs_of(" ") == []


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("erm4_legacy_hit", 1),
        ("erm4_legacy_em", 1),
        ("erm4_legacy_precision", 0.556),
        ("erm4_legacy_recall", 1),
        ("erm4_legacy_f1", 0.714),
    ],
)
def test_metrics(metric, expected):
    asked = [question(answers=["Paris"])] * 3
    answers = [
        prediction(answer='["the city of Paris", "London"]'),
        prediction(answer=None),
        prediction(answer="Paris", error=FAILURE),
    ]
    assert parse_metric(metric).compute(asked, answers) == pytest.approx([expected, 0, 0], abs=5e-4)
