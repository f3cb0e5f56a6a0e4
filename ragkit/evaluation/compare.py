"""Compare runs on the same questions: differences with their uncertainty, won and lost questions, quality and cost."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import InputError
from ragkit.evaluation.records import FinishedRun, read_run
from ragkit.evaluation.statistics import Paired, bootstrap_interval, holm, mean, paired_test
from ragkit.evaluation.summary import Estimate

Scores = Mapping[str, Sequence[float | None]]
"""Per metric, the value of each question; the questions stand in one order for all runs that are compared."""


OF_THE_CACHE = "cached_share"
"""Says what ran before, not how the systems differ: it is shown and not tested."""

COSTS = ("cost", "seconds", "tokens", "model_calls", "searches", "retriever_calls")
"""Metrics of which less is better: what quality is plotted against."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a run's metric is from the baseline's.

    Attributes:
        paired: run minus baseline over the questions that both have a value for.
        p_holm: the p-value corrected for the number of runs that are compared with the baseline by this metric.
    """

    paired: Paired
    p_holm: float | None


def differences(baseline: Scores, others: Sequence[Scores]) -> list[dict[str, Difference]]:
    """Return the differences of other runs to a baseline, for each metric that both have but `cached_share`.

    The paired randomisation test of each metric is corrected by Holm over the runs that it is tested for.
    """
    names = [name for name in baseline if name != OF_THE_CACHE]
    tests = [{name: paired_test(other[name], baseline[name]) for name in names if name in other} for other in others]
    corrected: list[dict[str, Difference]] = [{} for _ in others]
    for name in names:
        tested = [position for position, test in enumerate(tests) if name in test]
        values = holm([tests[position][name].p for position in tested])
        for position, p in zip(tested, values, strict=True):
            corrected[position][name] = Difference(tests[position][name], p)
    return corrected


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the compared runs, on the questions that all of them have.

    Attributes:
        run: its folder, as it was given.
        failures: questions that failed in the whole run.
        metrics: means over the common questions.
        differences: to the first run; empty for the first run itself.
        won: per quality metric, ids of the questions on which it is better than the first run.
        lost: per quality metric, ids of those on which it is worse.
    """

    run: str
    failures: int
    metrics: dict[str, Estimate]
    differences: dict[str, Difference]
    won: dict[str, list[str]]
    lost: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """A run by its quality and its cost; `on_front` if no other run is at least as good for at most the cost."""

    run: str
    quality: float
    quality_low: float
    quality_high: float
    cost: float
    on_front: bool


@dataclass(frozen=True, slots=True)
class Pareto:
    """The runs by one quality metric (higher is better) and one cost (lower is better)."""

    quality: str
    cost: str
    points: list[ParetoPoint]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare.json` holds.

    Attributes:
        questions: questions that all runs have.
        left_out: per run, how many of its questions the others lack.
        runs: the first one is the baseline.
        pareto: for each quality metric and cost that all runs have.
    """

    questions: int
    left_out: dict[str, int]
    runs: list[Compared]
    pareto: list[Pareto]

    def to_json(self) -> str:
        """Return the text of `compare.json`."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Compare finished runs with the first of them, on the questions that all have.

    Raises:
        InputError: fewer than two runs, one that is not finished, no common question, or a question of one id that has
            another text or other gold in another run.
    """
    if len(folders) < 2:
        raise InputError("name at least two runs to compare")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("the same run is named twice")
    runs = [read_run(folder) for folder in folders]
    common = _common(runs)
    scores = [_on(run, common) for run in runs]
    changes = [{}, *differences(scores[0], scores[1:])]
    compared = [
        Compared(
            run=run.name,
            failures=run.failures,
            metrics={name: estimate(values) for name, values in own.items()},
            differences=change,
            **_won_and_lost(run, scores[0], own, common),
        )
        for run, own, change in zip(runs, scores, changes, strict=True)
    ]
    left_out = {run.name: len(run.questions) - len(common) for run in runs}
    return Comparison(len(common), left_out, compared, _pareto(runs[0].quality, compared))


def estimate(values: Sequence[float | None]) -> Estimate:
    """Return the mean of the values that are there, with its interval."""
    known = [value for value in values if value is not None]
    low, high = bootstrap_interval(known) or (None, None)
    return Estimate(mean(known), low, high, n=len(known), excluded=len(values) - len(known))


def _common(runs: Sequence[FinishedRun]) -> list[str]:
    """Return the ids that all runs have, in the order of the first run; they must mean the same question in all."""
    by_id = [{question.id: question for question in run.questions} for run in runs]
    common = [question.id for question in runs[0].questions if all(question.id in other for other in by_id[1:])]
    if not common:
        raise InputError("the runs have no question in common: no id is in all of them")
    for run, other in zip(runs[1:], by_id[1:], strict=True):
        for name in common:
            first, second = by_id[0][name], other[name]
            if first.question != second.question:
                raise InputError(
                    f"question '{name}' is another one in {run.name} than in {runs[0].name}: its text differs"
                )
            gold = [(q.answers, q.supporting_ids, q.answerable, q.relevance) for q in (first, second)]
            if gold[0] != gold[1]:
                raise InputError(f"question '{name}' has other gold in {run.name} than in {runs[0].name}")
    return common


def _on(run: FinishedRun, ids: Sequence[str]) -> dict[str, list[float | None]]:
    position = {question.id: number for number, question in enumerate(run.questions)}
    return {name: [values[position[own]] for own in ids] for name, values in run.scores.items()}


def _won_and_lost(run: FinishedRun, baseline: Scores, own: Scores, ids: Sequence[str]) -> dict[str, Any]:
    won: dict[str, list[str]] = {}
    lost: dict[str, list[str]] = {}
    for name in run.quality:
        if name not in baseline or own is baseline:
            continue
        pairs = [
            (identifier, mine - theirs)
            for identifier, mine, theirs in zip(ids, own[name], baseline[name], strict=True)
            if mine is not None and theirs is not None
        ]
        won[name] = [identifier for identifier, change in pairs if change > 0]
        lost[name] = [identifier for identifier, change in pairs if change < 0]
    return {"won": won, "lost": lost}


def _pareto(quality: Sequence[str], runs: Sequence[Compared]) -> list[Pareto]:
    everywhere = [name for name in runs[0].metrics if all(_known(run, name) for run in runs)]
    costs = [name for name in everywhere if name in COSTS]
    found = []
    for name in quality:
        for cost in costs if name in everywhere else ():
            places = [(_value(run, name), _value(run, cost)) for run in runs]
            points = [
                ParetoPoint(
                    run=run.run,
                    quality=own[0],
                    quality_low=run.metrics[name].low or 0.0,
                    quality_high=run.metrics[name].high or 0.0,
                    cost=own[1],
                    on_front=not any(_dominates(other, own) for other in places),
                )
                for run, own in zip(runs, places, strict=True)
            ]
            found.append(Pareto(name, cost, points))
    return found


def _known(run: Compared, name: str) -> bool:
    return name in run.metrics and run.metrics[name].value is not None


def _value(run: Compared, name: str) -> float:
    return run.metrics[name].value or 0.0


def _dominates(other: tuple[float, float], own: tuple[float, float]) -> bool:
    """Say whether a run is at least as good for at most the cost, and better in one of both."""
    return other[0] >= own[0] and other[1] <= own[1] and other != own
