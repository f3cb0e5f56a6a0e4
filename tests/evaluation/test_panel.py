import pytest
from evaluation_builders import passage, prediction, question

from ragkit.evaluation.judges import PanelJudge, run_judges
from ragkit.evaluation.judges.panel_report import krippendorff_alpha, panel_report
from ragkit.evaluation.judges.panel_scores import as_share, expected_score, pooled, read_score, relative_improvement
from ragkit.evaluation.statistics import cluster_interval
from ragkit.models.scripted import ScriptedModel


@pytest.mark.parametrize(
    ("text", "score"),
    [("4", 4), ("Correctness: 4", 4), (" 5 - fully", 5), ("4 out of 5", 4), ("4/5", 4), ("3.", 3), ("5\nbecause", 5)]
    + [
        (text, None) for text in ("2023", "", "0", "6", "the score is 4", "4.5", "45", "Correctness: none", "-3", "4th")
    ],
)
def test_a_score_is_read_by_a_strict_grammar(text, score):
    assert read_score(text) == score


def test_judges_count_alike_or_draws_do():
    draws = {"a": [3] * 5, "b": [4] * 5, "c": [5] * 5}
    assert pooled(draws).value == pooled(draws, "draws").value == 4.0
    uneven = {"a": [3, None, None, None, None], "b": [5] * 5}
    assert pooled(uneven).value == 4.0
    assert pooled(uneven, "draws").value == pytest.approx(28 / 6)
    assert pooled(uneven).by_judge == {"a": 3.0, "b": 5.0}


def test_missing_draws_are_left_out_and_counted():
    draws = {"a": [4, 4, 4, 4, None], "b": [4] * 5, "c": [4] * 5}
    found = pooled(draws, "draws")
    assert found.value == 4.0
    assert found.missing == pytest.approx(1 / 15)
    silent = pooled({"a": [None], "b": [5]})
    assert silent.value is None and silent.missing == 0.5
    assert pooled({"a": [None], "b": [5]}, "draws").value == 5
    assert pooled({}).value is None


def test_an_expected_score_is_the_weighted_mean():
    assert expected_score({"1": 0, "2": 0, "3": 0.25, "4": 0.5, "5": 0.25}) == 4.0
    assert expected_score({"5": 0.25, "1": 0.25}) == 3.0
    with pytest.raises(ValueError, match="no score"):
        expected_score({"1": 0.0})


def test_the_papers_improvement():
    assert f"{100 * relative_improvement(4.02, 3.84):.1f}" == "4.7"


def test_alpha_of_the_textbook():
    # Krippendorff 2011, section C: four observers, twelve units; nominal .743, ordinal .815, interval .849.
    rows = ["1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 ."]
    ratings = [[None if cell == "." else float(cell) for cell in row.split()] for row in rows]
    assert krippendorff_alpha(ratings, "nominal") == pytest.approx(0.743, abs=5e-4)
    assert krippendorff_alpha(ratings, "ordinal") == pytest.approx(0.815, abs=5e-4)
    assert krippendorff_alpha(ratings, "interval") == pytest.approx(0.849, abs=5e-4)


def test_alpha_is_not_defined_without_variation_or_pairs():
    assert krippendorff_alpha([[4, 4], [4, 4]]) is None
    assert krippendorff_alpha([[1, None], [None, 2]]) is None
    assert krippendorff_alpha([[1, 2]]) is None


def test_the_report_leaves_judges_out_and_sees_length():
    draws = [{"mild": [5, 5], "strict": [1 + n % 3, None]} for n in range(6)]
    report = panel_report(draws, [10 * (1 + n % 3) for n in range(6)], ["x", "x", "y", "y", "z", "z"])
    assert report["score"]["mean"] == pytest.approx(3.5)
    assert report["score"]["low"] < 3.5 < report["score"]["high"]
    assert report["left_out"]["strict"]["mean"] == 5.0
    assert report["left_out"]["mild"]["mean"] == 2.0
    assert report["missing_rate"] == 0.25
    assert report["judges"]["strict"] == {"score": 2.0, "missing_rate": 0.5, "spread": pytest.approx(0.8164966)}
    assert report["length"] == {"spearman": pytest.approx(1.0), "n": 6}
    assert report["z"]["mild"] == [None] * 6
    assert report["z"]["strict"][0] == pytest.approx(-1.224745)


def test_an_interval_over_documents_is_wider_than_one_over_questions():
    values, documents = [1.0] * 10 + [5.0] * 10, ["a"] * 10 + ["b"] * 10
    assert cluster_interval(values, documents) == (1.0, 5.0)
    low, high = cluster_interval(values, [str(n) for n in range(20)])
    assert 1.5 < low < 3 < high < 4.5
    assert cluster_interval([], []) is None


def judged(judge, answers=("the lock is 12 m deep", "no idea")):
    questions = [question(str(n), gold=(f"d{n}.pdf#p1",)) for n in range(len(answers))]
    rows = [prediction(str(n), answer, (passage(f"d{n}.pdf#p1"),)) for n, answer in enumerate(answers)]
    return run_judges({"panel": judge}, questions, rows)


def test_a_panel_asks_each_judge_several_times():
    kind = ScriptedModel(rules=[{"contains": "12 m", "reply": "5"}], default="2")
    odd = ScriptedModel(rules=[{"contains": "12 m", "reply": "Correctness: 3 of 5"}], default="in 2023")
    found = judged(PanelJudge(models=(kind, odd), draws=3))
    first, second = (row["details"] for row in found.rows)
    assert first["score"] == 4.0 and list(first["draws"].values()) == [[5, 5, 5], [3, 3, 3]]
    assert second["score"] is None and second["missing"] == 0.5
    assert found.figures["panel"].values == [as_share(4), None]
    assert found.figures["panel"].failed == {1}
    assert found.report["panel"]["missing_rate"] == 0.25
    assert len(kind.prompts) == 6  # three draws of two answers
    assert len(odd.prompts) == 9  # three of the first answer, and three of the second, each asked again


def test_a_panel_takes_expected_scores():
    model = ScriptedModel(rules=[{"contains": "12 m", "reply": "5"}], default="1")
    found = judged(PanelJudge(models=(model,), mode="expected"))
    assert found.rows[0]["details"]["score"] == pytest.approx(0.9 * 5 + 0.1 * 2.5)
    assert found.figures["panel"].values[1] == pytest.approx(as_share(0.9 * 1 + 0.1 * 3.5))


def test_greedy_draws_are_refused():
    with pytest.raises(ValueError, match="all the same"):
        PanelJudge(models=(ScriptedModel(default="4"),), temperature=0)
