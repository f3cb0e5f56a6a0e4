"""What was made of a corpus: how many sections, questions and rows, what was dropped and why, and how good it is."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ragkit.evaluation.statistics import bootstrap_interval, mean
from ragkit.tuning.builders.corpus_qa.pairs import Pair
from ragkit.tuning.builders.corpus_qa.sections import Sections


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of a measure over the pairs that have it, with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """What was made of one corpus.

    Attributes:
        documents: documents of the part.
        sections: sections that were chosen.
        sections_left: sections that could have been chosen too.
        sections_too_short: sections that could not.
        untagged: sections whose facets could not be had, so that questions were written without any.
        questions: questions that were asked for.
        kept: pairs that are trained on or examined with.
        dropped: how many were dropped for each reason.
        all: measures of all pairs, as far as they came.
        made: measures of the pairs that were kept.
    """

    documents: int
    sections: int
    sections_left: int
    sections_too_short: int
    untagged: int
    questions: int
    kept: int
    dropped: dict[str, int]
    all: dict[str, Estimate]
    made: dict[str, Estimate]

    def why(self) -> str:
        """Return in words what became of the documents and questions, for where nothing is left of them."""
        counts = [
            f"documents in the part: {self.documents}",
            f"sections asked about: {self.sections}",
            f"sections too short: {self.sections_too_short}",
            *(f"{reason}: {count}" for reason, count in self.dropped.items()),
        ]
        return ", ".join(counts)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return asdict(self)

    def to_json(self) -> str:
        """Return it as the text of a file."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def report(sections: Sections, untagged: int, pairs: Sequence[Pair]) -> CorpusReport:
    """Return what was made of a corpus."""
    kept = [pair for pair in pairs if not pair.dropped]
    reasons = Counter(pair.dropped.partition(":")[0] for pair in pairs if pair.dropped)
    return CorpusReport(
        documents=sections.documents,
        sections=len(sections.chosen),
        sections_left=sections.long_enough - len(sections.chosen),
        sections_too_short=sections.too_short,
        untagged=untagged,
        questions=len(pairs),
        kept=len(kept),
        dropped=dict(reasons.most_common()),
        all=_estimates(pairs),
        made=_estimates(kept),
    )


def _estimates(pairs: Sequence[Pair]) -> dict[str, Estimate]:
    names = dict.fromkeys(name for pair in pairs for name in pair.measures)
    found = {}
    for name in names:
        values = [pair.measures[name] for pair in pairs if name in pair.measures]
        low, high = bootstrap_interval(values) or (0.0, 0.0)
        found[name] = Estimate(mean(values) or 0.0, low, high, len(values))
    return found
