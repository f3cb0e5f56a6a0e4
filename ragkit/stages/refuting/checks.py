"""What a drafted response has to stand before it may be shown to a reviewer as a draft that can be approved."""

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from ragkit.engine.state import Documents
from ragkit.models.base import ENTAILMENT, EntailmentModel, TextClassifier
from ragkit.stages.refuting.response import (
    ResponseSentence,
    copied_share,
    invalid_numbers,
    plain,
    read_response,
    restates,
)

_MOST_COPIED = 0.8
"""Beyond this share of 4-grams a response is the evidence over again, as small models write their prompt down."""


class Checks(NamedTuple):
    """Who checks a response, and from which probabilities on it passes; a check that nobody can make is left out."""

    nli: EntailmentModel | None
    politeness: TextClassifier | None
    polite: str
    refutes: float
    courteous: float
    supported: float

    def missing(self) -> list[str]:
        """Return the checks that nobody can make."""
        judges = {"refutes": self.nli, "supported": self.nli, "polite": self.politeness}
        return [name for name, judge in judges.items() if judge is None]


@dataclass(frozen=True, slots=True)
class Checked:
    """A response after its checks.

    Attributes:
        text: what is left of it, with its citations.
        dropped: the sentences that are not, each with the reason.
        problems: why it cannot be used as it is; none if it can.
        scores: what the judges said: `refutes`, `polite`, `supported` (the mean over factual sentences).
    """

    text: str
    dropped: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)


async def check_response(draft: str, claim: str, documents: Documents, checks: Checks) -> Checked:
    """Drop the sentences of a draft that cannot stand, and say what is wrong with the rest.

    Args:
        draft: what the model wrote.
        claim: what it responds to.
        documents: its evidence, in the order of its numbers.
        checks: who checks it.
    """
    sentences = read_response(draft)
    supports = await _supports(sentences, documents, checks.nli)
    kept, dropped = [], []
    for sentence, support in zip(sentences, supports, strict=True):
        if invalid := invalid_numbers([sentence], len(documents)):
            dropped.append(f"{sentence.marked} (cites {', '.join(map(str, invalid))}, which is no evidence)")
        elif support is not None and support < checks.supported:
            dropped.append(f"{sentence.marked} (no evidence entails it)")
        else:
            kept.append(sentence)
    text = plain(kept)
    known = [support for support in supports if support is not None]
    scores = {"supported": sum(known) / len(known)} if known else {}
    problems = []
    if not text:
        problems.append("nothing is left of the draft")
    if text and not any(sentence.cited for sentence in kept):
        problems.append("cites no evidence")
    if copied_share(text, [f"{p.metadata.get('title', '')} {p.page_content}" for p in documents]) > _MOST_COPIED:
        problems.append("copies the evidence instead of answering the claim")
    if restates(kept, claim):
        problems.append("says the claim again without denying it")
    if text and checks.nli is not None:
        scores["refutes"] = (await checks.nli.entail(text, claim)).probability(ENTAILMENT[2])
        if scores["refutes"] < checks.refutes:
            problems.append("does not refute the claim")
    if text and checks.politeness is not None:
        scores["polite"] = (await checks.politeness.classify(text)).probability(checks.polite)
        if scores["polite"] < checks.courteous:
            problems.append("is not polite")
    return Checked(" ".join(sentence.marked for sentence in kept), tuple(dropped), tuple(problems), scores)


async def _supports(
    sentences: tuple[ResponseSentence, ...], documents: Documents, nli: EntailmentModel | None
) -> list[float | None]:
    """Return for each sentence how probably evidence entails it, None where that is not asked.

    A sentence that cites is checked against what it cites: a citation is checked, not trusted.
    """

    async def best(sentence: ResponseSentence) -> float | None:
        if nli is None or not sentence.is_factual or not sentence.text:
            return None
        cited = [documents[number - 1] for number in sentence.cited if 1 <= number <= len(documents)]
        choices = await asyncio.gather(
            *(nli.entail(passage.page_content, sentence.text) for passage in cited or documents)
        )
        return max(choice.probability(ENTAILMENT[0]) for choice in choices)

    return list(await asyncio.gather(*(best(sentence) for sentence in sentences)))
