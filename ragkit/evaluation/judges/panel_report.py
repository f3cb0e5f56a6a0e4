"""What a panel's scores are worth: missing ones, each judge alone and left out, agreement, length, documents."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ragkit.evaluation.judges.panel_scores import Draws, Pool, pooled
from ragkit.evaluation.statistics import cluster_interval, mean

Level = Literal["ordinal", "interval", "nominal"]


def krippendorff_alpha(ratings: Sequence[Sequence[float | None]], level: Level = "ordinal") -> float | None:
    """Return how far raters agree beyond chance: 1 is perfect, 0 what chance gives; missing ratings are left out.

    None where it is not defined: nothing was rated twice, or all ratings are the same.

    Args:
        ratings: of each rater, of the same units in the same order.
        level: what the ratings are; `ordinal` knows their order only.

    Source: Krippendorff 2011, Computing Krippendorff's Alpha-Reliability; computed by the package `krippendorff`.
    """
    import krippendorff

    table = np.array([[np.nan if value is None else value for value in own] for own in ratings], dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2:
        return None
    pairable = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    if pairable.size == 0 or len(np.unique(pairable[~np.isnan(pairable)])) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=table, level_of_measurement=level))


def panel_report(
    draws: Sequence[Draws], words: Sequence[int], documents: Sequence[str], pool: Pool = "judges"
) -> dict[str, Any]:
    """Return what a reader of a panel's figures must know.

    Args:
        draws: of each answer what the judges gave.
        words: how long each answer is.
        documents: the document that each question is about; the interval draws documents, not questions.
        pool: how scores become one.
    """
    scores = [pooled(own, pool) for own in draws]
    judges = list(dict.fromkeys(judge for own in draws for judge in own))
    by_judge = {judge: [score.by_judge.get(judge) for score in scores] for judge in judges}
    values = [score.value for score in scores]
    return {
        "score": _with_interval(values, documents),
        "missing_rate": mean([score.missing for score in scores]),
        "judges": {
            judge: {
                "score": mean(_known(own)),
                "missing_rate": mean([_missing(draw.get(judge, ())) for draw in draws]),
                "spread": float(np.std(_known(own))) if _known(own) else None,
            }
            for judge, own in by_judge.items()
        },
        "left_out": {judge: _left_out(draws, judge, pool, documents) for judge in judges} if len(judges) > 1 else {},
        "alpha": {
            "between_judges": krippendorff_alpha(list(by_judge.values()), "interval"),
            "between_draws": {judge: _between_draws(draws, judge) for judge in judges},
        },
        "length": _length(values, words),
        "z": {judge: _z(own) for judge, own in by_judge.items()},
    }


def _left_out(draws: Sequence[Draws], judge: str, pool: Pool, documents: Sequence[str]) -> dict[str, Any]:
    """Return the score without a judge, who may prefer the answers of its own kind."""
    rest = [{name: own for name, own in one.items() if name != judge} for one in draws]
    return _with_interval([pooled(one, pool).value for one in rest], documents)


def _with_interval(values: Sequence[float | None], documents: Sequence[str]) -> dict[str, Any]:
    pairs = [(value, document) for value, document in zip(values, documents, strict=True) if value is not None]
    known = [value for value, _ in pairs]
    low, high = cluster_interval(known, [document for _, document in pairs]) or (None, None)
    return {"mean": mean(known), "low": low, "high": high, "n": len(known)}


def _between_draws(draws: Sequence[Draws], judge: str) -> float | None:
    most = max((len(own.get(judge, ())) for own in draws), default=0)
    rows = [[_at(own.get(judge, ()), number) for own in draws] for number in range(most)]
    return krippendorff_alpha(rows)


def _at(own: Sequence[float | None], number: int) -> float | None:
    return own[number] if number < len(own) else None


def _length(values: Sequence[float | None], words: Sequence[int]) -> dict[str, Any]:
    """Return the rank correlation of scores and lengths: judges may take long for thorough."""
    from scipy.stats import spearmanr

    pairs = [(value, length) for value, length in zip(values, words, strict=True) if value is not None]
    if len({value for value, _ in pairs}) < 2 or len({length for _, length in pairs}) < 2:
        return {"spearman": None, "n": len(pairs)}
    return {"spearman": float(spearmanr(*zip(*pairs, strict=True)).statistic), "n": len(pairs)}


def _z(values: Sequence[float | None]) -> list[float | None]:
    """Return a judge's scores in standard deviations from its own mean: a strict judge and a mild one then compare."""
    known = _known(values)
    spread = float(np.std(known)) if known else 0.0
    middle = mean(known)
    if middle is None or spread == 0:
        return [None] * len(values)
    return [None if value is None else round((value - middle) / spread, 6) for value in values]


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _missing(own: Sequence[float | None]) -> float:
    return sum(score is None for score in own) / len(own) if own else 0.0
