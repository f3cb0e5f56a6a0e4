"""Runs against each other on the same questions."""

import json
import math
from dataclasses import asdict

import pytest
import yaml
from evaluation_builders import question

from ragkit.errors import InputError
from ragkit.evaluation.compare import compare_runs, differences
from ragkit.evaluation.funnel import Funnel
from ragkit.evaluation.records import write_records
from ragkit.evaluation.summary import Estimate, Group, Summary


def finished(folder, scores, questions=None, failures=0):
    """A run's folder with these scores, by metric."""
    folder.mkdir()
    count = len(next(iter(scores.values())))
    questions = questions or [question(str(n), ("x",), ("a",)) for n in range(count)]
    means = {name: Estimate(0.5, 0.4, 0.6, count, 0) for name in scores}
    quality = tuple(name for name in scores if name != "tokens")
    values = {name: list(own) for name, own in scores.items()}
    summary = Summary(Group(count, failures, means), {}, {}, values, quality)
    write_records(folder, questions, summary, Funnel(0, 0, None, [], {}))
    (folder / "run.lock.yaml").write_text(yaml.safe_dump({"name": folder.name}))
    return folder


def test_differences_wins_and_front(tmp_path):
    a = finished(tmp_path / "a", {"em": [0, 0, 1, None], "tokens": [10, 10, 10, 10]})
    b = finished(tmp_path / "b", {"em": [1, 1, 0, 1], "tokens": [30, 30, 30, 30]}, failures=1)
    c = finished(tmp_path / "c", {"em": [0, 0, 1, None], "tokens": [20, 20, 20, 20]})
    found = compare_runs([a, b, c])
    assert found.questions == 4
    baseline, second, third = found.runs
    assert baseline.differences == {}
    assert baseline.metrics["em"].value == pytest.approx(1 / 3)
    assert second.differences["em"].paired.difference == pytest.approx(1 / 3)
    assert (second.won["em"], second.lost["em"]) == (["0", "1"], ["2"])
    assert second.failures == 1
    assert third.differences["em"].paired.difference == 0
    assert set(second.won) == {"em"}  # of costs nothing is won
    (pareto,) = found.pareto
    assert (pareto.quality, pareto.cost) == ("em", "tokens")
    assert [point.on_front for point in pareto.points] == [True, True, False]
    assert json.loads(found.to_json()) == json.loads(json.dumps(asdict(found)))


def test_p_values_are_corrected_over_the_runs_of_one_metric():
    baseline = {"em": [0.0] * 12, "f1": [0.0] * 12}
    better = {"em": [1.0] * 8 + [0.0] * 4, "f1": [0.0] * 12}
    best = {"em": [1.0] * 12}
    one, other = differences(baseline, [better, best])
    assert other["em"].p_holm == pytest.approx(2 * other["em"].paired.p)  # the smallest of two
    assert one["em"].p_holm == pytest.approx(max(one["em"].paired.p, other["em"].p_holm))
    assert one["f1"].p_holm == one["f1"].paired.p == 1.0  # tested for one run only
    assert "f1" not in other


def test_only_common_questions_count_and_the_others_are_named(tmp_path):
    three = [question(str(n), ("x",)) for n in range(3)]
    a = finished(tmp_path / "a", {"em": [0, 0, 1]}, three)
    b = finished(tmp_path / "b", {"em": [1, 1]}, [three[2], three[1]])
    found = compare_runs([a, b])
    assert found.questions == 2
    assert found.left_out == {str(a): 1, str(b): 0}
    assert found.runs[0].metrics["em"].value == 0.5
    assert found.runs[1].won["em"] == ["1"]


def test_the_same_id_must_be_the_same_question(tmp_path):
    first = question("1", ("x",))
    a = finished(tmp_path / "a", {"em": [0]}, [first])
    b = finished(tmp_path / "b", {"em": [0]}, [question("1", ("y",))])
    with pytest.raises(InputError, match="question '1' has other gold"):
        compare_runs([a, b])
    from dataclasses import replace

    c = finished(tmp_path / "c", {"em": [0]}, [replace(first, question="Another?")])
    with pytest.raises(InputError, match="its text differs"):
        compare_runs([a, c])


def test_what_cannot_be_compared(tmp_path):
    a = finished(tmp_path / "a", {"em": [0]}, [question("1")])
    b = finished(tmp_path / "b", {"em": [0]}, [question("2")])
    with pytest.raises(InputError, match="no question in common"):
        compare_runs([a, b])
    with pytest.raises(InputError, match="at least two"):
        compare_runs([a])
    with pytest.raises(InputError, match="named twice"):
        compare_runs([a, tmp_path / "b" / ".." / "a"])
    with pytest.raises(InputError, match="holds no run"):
        compare_runs([a, tmp_path])
    (b / "scores.jsonl").unlink()
    with pytest.raises(InputError, match="not finished"):
        compare_runs([a, b])


def test_a_metric_that_applies_to_nothing_has_no_test(tmp_path):
    a = finished(tmp_path / "a", {"recall@5": [None, None], "em": [1, 0]})
    b = finished(tmp_path / "b", {"recall@5": [None, None], "em": [1, 0]})
    found = compare_runs([a, b])
    change = found.runs[1].differences["recall@5"]
    assert change.paired.difference is None
    assert change.p_holm is None
    assert not math.isnan(found.runs[1].differences["em"].p_holm)


def test_figures_that_are_no_mean_over_questions_are_left_out(tmp_path):
    runs = [finished(tmp_path / name, {"em": [0, 1]}) for name in ("a", "b")]
    for run in runs:
        figures = json.loads((run / "metrics.json").read_text())
        figures["metrics"]["aurc"] = figures["metrics"]["em"]  # no question has a value of its own
        (run / "metrics.json").write_text(json.dumps(figures))
    assert list(compare_runs(runs).runs[1].metrics) == ["em"]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("metrics.json", '{"questions": 1, "failures": 0, "metrics": {}}', "it has no 'curves'"),
        ("metrics.json", '{"questions":', "damaged"),
        ("metrics.json", "[]", "it is no object"),
        ("scores.jsonl", '{"question":"0","em":1.0}\n', "it has no 'id'"),
    ],
)
def test_runs_of_another_version_are_named_with_what_to_do(tmp_path, name, content, what):
    runs = [finished(tmp_path / name, {"em": [0]}) for name in ("a", "b")]
    (runs[1] / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name}.*{what}.*--out"):
        compare_runs(runs)
    (runs[1] / "questions.jsonl").unlink()
    with pytest.raises(InputError, match="or was written by an older ragkit"):
        compare_runs(runs)
