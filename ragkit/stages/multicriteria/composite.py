"""From scores to a ranking: the composite, the threshold and the ties. All of the arithmetic is here, in code."""

from collections.abc import Mapping, Sequence

from ragkit.stages.multicriteria.criteria import Criterion
from ragkit.stages.multicriteria.replies import Scores

_DIGITS = 9  # sums of the same scores in another order are equal


def final_score(scores: Scores, criteria: Sequence[Criterion]) -> float:
    """Return relevance plus the weighted sum of the criteria; a criterion without a score adds nothing."""
    added = (criterion.weight * scores.criteria.get(criterion.name, 0.0) for criterion in criteria)
    return round(scores.relevance + sum(added), _DIGITS)


def rank_scored(scored: Mapping[int, Scores], criteria: Sequence[Criterion], threshold: float) -> list[int]:
    """Return the positions whose relevance is at least the threshold, the highest final score first.

    Ties go to the higher authority if that is a criterion, then to the higher relevance, then to the first position.
    """
    authority = [c.name for c in criteria if c.about == "source" or "authorit" in c.name.casefold()]

    def key(position: int) -> tuple[float, float, float, int]:
        scores = scored[position]
        trusted = sum(scores.criteria.get(name, 0.0) for name in authority)
        return (-final_score(scores, criteria), -trusted, -scores.relevance, position)

    return sorted((p for p, scores in scored.items() if scores.relevance >= threshold), key=key)


def mean_scores(several: Sequence[Scores | None]) -> Scores:
    """Return the mean of what a passage scored in several orders; where it was left out, all of its scores are 0.

    Each score is a mean, and so is the final score.
    """
    found = [scores for scores in several if scores is not None]
    names = dict.fromkeys(name for scores in found for name in scores.criteria)
    return Scores(
        sum(scores.relevance for scores in found) / len(several),
        {name: sum(scores.criteria.get(name, 0.0) for scores in found) / len(several) for name in names},
    )
