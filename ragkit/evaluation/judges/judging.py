"""Run judges over the predictions of a run: all their calls for all questions in one run of the engine."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

from ragkit.engine.cache import CallCache
from ragkit.engine.calls import OnProgress, Resource
from ragkit.engine.tasks import TaskOutcome, run_tasks
from ragkit.evaluation.judges.agreement import Weights, cohen_kappa
from ragkit.evaluation.judges.base import Judge, Judgement, NameOf
from ragkit.evaluation.judges.pairwise import INCONSISTENT
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question
from ragkit.evaluation.summary import Figure

_ROUNDING = 1e-3
"""Probabilities of a model that add up to 1 do so in the precision that it computes in."""


@dataclass(frozen=True)
class Judging:
    """What the judges of a run found.

    Attributes:
        figures: what they measured, by name: `correct`, `correct.<model>`, `cites.recall` ...
        report: per judge, what it used and how far its raters agree; the part `judges` of `metrics.json`.
        rows: one per judge and question, in that order; the lines of `judgements.jsonl`.
    """

    figures: dict[str, Figure]
    report: dict[str, Any]
    rows: list[dict[str, Any]]


def run_judges(
    judges: Mapping[str, Judge],
    questions: Sequence[Question],
    predictions: Sequence[PredictionRow],
    *,
    models: Mapping[str, Resource] | None = None,
    cache: CallCache | None = None,
    on_progress: OnProgress | None = None,
) -> Judging:
    """Let judges judge predictions.

    Args:
        judges: the judges, by the name of their figures.
        questions: what was asked.
        predictions: one for each question, in their order.
        models: the models by name, for the names of figures; others are called by their position.
        cache: where answers of calls are looked up and kept.
        on_progress: told of judgements made and of answered calls.

    Raises:
        RagkitError: a model could not be opened.
        KeyboardInterrupt: the user pressed Ctrl-C.
    """
    name_of = _namer(models or {})
    pairs = list(zip(questions, predictions, strict=True))
    tasks = [partial(judge.judge, question, row, name_of) for judge in judges.values() for question, row in pairs]
    outcomes = run_tasks(tasks, name="judgements", cache=cache, on_progress=on_progress) if tasks else []
    figures: dict[str, Figure] = {}
    report: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    for number, (name, judge) in enumerate(judges.items()):
        mine = outcomes[number * len(pairs) : (number + 1) * len(pairs)]
        wanted = judge.figures(name_of)
        judgements = [_judgement(outcome, wanted) for outcome in mine]
        for figure in wanted:
            figures[full_name(name, figure)] = Figure(
                values=[judgement.scores.get(figure) for judgement in judgements],
                failed=frozenset(at for at, judgement in enumerate(judgements) if figure in judgement.failures),
                quality=figure != INCONSISTENT,
            )
        report[name] = {
            "usage": _usage(mine),
            "agreement": _agreement(judge, judgements),
            **judge.report(questions, predictions, judgements),
        }
        rows += [
            {"id": question.id, "judge": name, **asdict(judgement)}
            for question, judgement in zip(questions, judgements, strict=True)
        ]
    return Judging(figures, report, rows)


def full_name(judge: str, figure: str) -> str:
    """Return what a judge's figure is called in a run: `correct`, `cites.recall`."""
    return f"{judge}.{figure}" if figure else judge


def quality_figures(judges: Mapping[str, Judge], models: Mapping[str, Resource]) -> list[str]:
    """Return the figures of judges that judge quality, as a run calls them."""
    name_of = _namer(models)
    return [
        full_name(name, figure)
        for name, judge in judges.items()
        for figure in judge.figures(name_of)
        if figure != INCONSISTENT
    ]


def _namer(models: Mapping[str, Resource]) -> NameOf:
    names = {id(model): name for name, model in models.items()}

    def name_of(model: Resource) -> str:
        return names.setdefault(id(model), f"{model.category}_{len(names) + 1}")

    return name_of


def _judgement(outcome: TaskOutcome, figures: Sequence[str]) -> Judgement:
    """Return what a judge found; if it raised, every figure failed, and so has one whose score is none."""
    if outcome.error is not None:
        return Judgement(failures=dict.fromkeys(figures, outcome.error))
    judgement: Judgement = outcome.value
    wrong = {
        name: f"{value} is no score from 0 to 1"
        for name, value in judgement.scores.items()
        if value is not None and not -_ROUNDING <= value <= 1 + _ROUNDING  # a NaN is not between anything
    }
    scores = {name: value for name, value in judgement.scores.items() if name not in wrong}
    return replace(judgement, scores=scores, failures=wrong | judgement.failures) if wrong else judgement


def _usage(outcomes: Sequence[TaskOutcome]) -> dict[str, float]:
    """Return what all judgements together used."""
    total: dict[str, float] = {"cached": sum(outcome.usage.cached for outcome in outcomes)}
    for outcome in outcomes:
        for key, value in outcome.usage.as_dict().items():
            if key != "searches":
                total[key] = total.get(key, 0) + value
    return total


def _agreement(judge: Judge, judgements: Sequence[Judgement]) -> list[dict[str, Any]]:
    """Return Cohen's kappa of each two raters, quadratically weighted where there are more than two grades."""
    raters = judge.raters(judgements)
    weights: Weights | None = "quadratic" if len(judge.grades) > 2 else None
    return [
        {"raters": [a, b], "weights": weights, **asdict(cohen_kappa(raters[a], raters[b], judge.grades, weights))}
        for a, b in combinations(raters, 2)
    ]
