"""Mend the citations of an answer, without touching its text."""

import json
from collections.abc import Awaitable, Callable, Iterator
from itertools import combinations
from typing import Annotated

from pydantic import Field, model_validator

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Citation, Documents
from ragkit.models.base import ENTAILMENT, EntailmentModel, LanguageModel
from ragkit.prompts import prompt_setting, render
from ragkit.stages.answer import cite, containing

Supports = Callable[[tuple[int, ...], str], Awaitable[bool]]
"""Says whether the passages of these numbers (from 1), together, support a claim."""

MOST_CITATIONS = 3


@stage("answer.recite", writes="citations")
class AnswerRecite(Stage):
    """Cite the fewest passages of the prompt that support the answer: verify, construct, simplify.

    Citations that support the answer lose those that are not needed. Where they do not support it, the smallest set of
    at most three passages that does takes their place, of sets of one size the best ranked. If there is none, the
    citations stay as they are. With five passages that is at most 25 questions to the model.

    The question stands before the answer, because a short answer says nothing without it.

    Source: Wu et al. 2025 (PA-RAG), arXiv 2412.14510, its citation rewrite, there used to make training data; here for
    the answer as a whole.
    """

    nli: EntailmentModel | None = Field(None, description="who says what passages entail")
    model: LanguageModel | None = Field(None, description="who says so instead: a language model")
    containment: bool = Field(False, description="instead: a passage supports the answer if it holds its words")
    prompt: Annotated[str, prompt_setting("premise", "hypothesis", "labels")] = Field(
        "judge.entailment", description="what the language model is asked"
    )

    @model_validator(mode="after")
    def _somebody_says(self) -> "AnswerRecite":
        if (self.nli is not None) + (self.model is not None) + self.containment != 1:
            raise ValueError(
                "name one of 'nli' (an entailment model), 'model' (a language model) or 'containment: true'"
            )
        return self

    async def run(
        self,
        question: str,
        answer: str | None,
        citations: tuple[Citation, ...],
        documents: Documents,
        context: Documents | None = None,
    ) -> tuple[Citation, ...]:
        """Return the citations that the answer needs."""
        passages = documents if context is None else context
        if not answer:
            return citations
        numbers = {passage.id: number for number, passage in enumerate(passages, 1)}
        cited = tuple(numbers[c.passage] for c in citations if c.passage in numbers)[:MOST_CITATIONS]

        async def supports(these: tuple[int, ...], claim: str) -> bool:
            chosen = tuple(passages[number - 1] for number in these)
            if self.containment:
                return bool(containing(claim, chosen))
            premise = "\n".join(passage.page_content for passage in chosen)
            return await entails_by(self.nli or self.model, premise, f"{question} {claim}", self.prompt)

        best = await best_citations(cited, answer, len(passages), asked_once(supports))
        return citations if best is None else tuple(cite(passages[number - 1]) for number in best)


async def best_citations(
    cited: tuple[int, ...], claim: str, passages: int, supports: Supports
) -> tuple[int, ...] | None:
    """Return what a claim has to cite: what it cites without what it does not need, or else the smallest set.

    Args:
        cited: the numbers that it cites, at most `MOST_CITATIONS`.
        claim: what has to be supported.
        passages: how many there are.
        supports: who says whether passages support it.

    Returns:
        The numbers; of two needless ones the worse ranked goes, of two sets of one size the better ranked is taken.
        None if no set of at most `MOST_CITATIONS` supports the claim.
    """
    if cited and await supports(cited, claim):
        for number in sorted(cited, reverse=True):
            fewer = tuple(other for other in cited if other != number)
            if fewer and await supports(fewer, claim):
                cited = fewer
        return cited
    for numbers in _sets(passages):
        if await supports(numbers, claim):
            return numbers
    return None


def _sets(passages: int) -> Iterator[tuple[int, ...]]:
    for size in range(1, MOST_CITATIONS + 1):
        yield from combinations(range(1, passages + 1), size)


def asked_once(supports: Supports) -> Supports:
    """Return the same, but never asking twice about one set of passages and one claim."""
    known: dict[tuple[frozenset[int], str], bool] = {}

    async def ask(numbers: tuple[int, ...], claim: str) -> bool:
        key = (frozenset(numbers), claim)
        if key not in known:
            known[key] = await supports(numbers, claim)
        return known[key]

    return ask


async def entails_by(
    judge: EntailmentModel | LanguageModel | None, premise: str, hypothesis: str, prompt: str = "judge.entailment"
) -> bool:
    """Say whether a text entails a statement, as an entailment model or a language model sees it.

    Args:
        judge: who says so; None is refused by whoever declares it as a setting.
        premise: the text.
        hypothesis: the statement.
        prompt: what a language model is asked.
    """
    if isinstance(judge, EntailmentModel):
        return (await judge.entail(premise, hypothesis)).label == ENTAILMENT[0]
    assert judge is not None  # noqa: S101 - the validators see to it
    asked = render(prompt, premise=_quoted(premise), hypothesis=_quoted(hypothesis), labels=list(ENTAILMENT))
    spelt = [f" {label}" for label in ENTAILMENT] if isinstance(asked, str) else list(ENTAILMENT)
    return (await judge.choose(asked, spelt)).label == spelt[0]


def _quoted(text: str) -> str:
    """Return a text of unknown origin as a JSON string, which no text can end earlier."""
    return json.dumps(text, ensure_ascii=False)
