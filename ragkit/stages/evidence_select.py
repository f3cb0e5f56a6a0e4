"""Choose the evidence that a response to a claim may use.

What `evidence.select` hands on, for the stages behind it (`answer.refute`):

`documents`: the passages to cite, refuting ones first. Each has in its metadata `stance` (`refutes`, `unrelated`, and
`supports` only where `keep` names it) and, where the judge tells it, `stance_score`, the probability of that stance.
`vars.abstain`: true when none of these refutes the claim. A response must then not pretend that one does.
`vars.stances`: a `Stance` of each passage that came, in their order, with the reason why it is not among `documents`.

Flags: `evidence.select:nothing_refutes` with `vars.abstain`; `evidence.select:contested` when some passages support the
claim while others refute it; `evidence.select:error` when a passage could not be judged.

The claim is `vars.claim` where `rewrite.claim` wrote it, else the question.
"""

import asyncio
import re
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Passage
from ragkit.errors import BudgetExceededError
from ragkit.index.fields import DEFAULT_FIELDS, SearchField, searched_text
from ragkit.models.base import ENTAILMENT, Choice, EntailmentModel, JointEntailmentModel, LanguageModel
from ragkit.prompts import prompt_setting, quoted, render

STANCE, STANCE_SCORE = "stance", "stance_score"
"""Where a passage's metadata keep its stance towards the claim, and the probability of it, if the judge tells."""
NOTHING_REFUTES, CONTESTED, ERRORS = (
    "evidence.select:nothing_refutes",
    "evidence.select:contested",
    "evidence.select:error",
)
"""Flags of a question: nothing refutes its claim; something supports it beside what refutes; a passage is unjudged."""

StanceName = Literal["refutes", "supports", "unrelated"]
STANCES: tuple[StanceName, ...] = ("refutes", "supports", "unrelated")
_OF_ENTAILMENT: dict[str, StanceName] = dict(zip(ENTAILMENT, ("supports", "unrelated", "refutes"), strict=True))
_SAME = 0.9
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Stance:
    """What a passage says of the claim.

    Attributes:
        passage: its id.
        stance: `refutes`, `supports`, `unrelated`; `error` if it could not be judged, `unjudged` if nobody was asked.
        score: the probability of the stance; None where the judge does not tell.
        dropped: why the passage is not handed on; empty if it is.
    """

    passage: str
    stance: str
    score: float | None = None
    dropped: str = ""


@stage("evidence.select", writes=("documents", "vars.abstain", "vars.stances"))
class EvidenceSelect(Stage):
    """Select passages that refute a claim, and ones that only bear on it, under a token budget.

    Similarity finds what is about a claim, also what seems to support it. So retracted sources go first, then passages
    that say the same as a better one (Jaccard similarity of their words of .9 or more); the rest is judged passage by
    passage. Those with a wanted stance are taken, refuting ones first, else in their order, while they fit. What is
    handed on stands at the top of the module.

    Source: Yue et al. 2024 (RARG), arXiv 2403.14952, evidence collection; stance and budget are ours.
    """

    model: LanguageModel = Field(description="whose tokens are counted; it judges too where there is no 'nli'")
    nli: EntailmentModel | None = Field(None, description="an entailment model that judges: contradiction refutes")
    tokens: int = Field(512, ge=1, description="the most tokens of all passages together")
    k: int = Field(5, ge=1, description="the most passages")
    keep: tuple[StanceName, ...] = Field(
        ("refutes", "unrelated"), min_length=1, description="stances of the passages that are handed on"
    )
    at_least: float = Field(0.0, ge=0, le=1, description="a stance less probable than this counts as unrelated")
    retracted: Literal["drop", "keep"] = Field("drop", description="what becomes of passages with `retracted: true`")
    peer_reviewed: bool = Field(False, description="only passages whose metadata say `peer_reviewed: true`")
    since: int | None = Field(None, description="only passages whose metadata have a `year` that is not before this")
    fields: tuple[SearchField, ...] = Field(
        DEFAULT_FIELDS, min_length=1, description="what the judge reads of a passage: title, section, text"
    )
    prompt: Annotated[str, prompt_setting("claim", "text", "stances", needs=("claim", "text"))] = Field(
        "evidence.stance", description="what the language model is asked"
    )

    @model_validator(mode="after")
    def _knows_contradiction(self) -> "EvidenceSelect":
        if isinstance(self.nli, JointEntailmentModel):
            raise ValueError(f"{type(self.nli).__name__} knows no contradiction, so nothing would ever refute")
        return self

    async def run(self, question: str, documents: Documents, claim: str | None = None) -> dict[str, Any]:
        """Return the selected passages, whether none refutes, and the stances of all."""
        found = self._unjudged(documents)
        asked = claim or question
        judged = await asyncio.gather(*(self._judge(asked, d, f) for d, f in zip(documents, found, strict=True)))
        stances = await self._fit(documents, judged)
        of = {stance.passage: stance for stance in stances if not stance.dropped}
        taken = [_marked(document, of[document.id]) for document in documents if document.id in of]
        said = {stance.stance for stance in judged}
        refuted = any(stance.stance == "refutes" for stance in of.values())
        if not refuted:
            flag(NOTHING_REFUTES)
        if said >= {"refutes", "supports"}:
            flag(CONTESTED)
        if "error" in said:
            flag(ERRORS)
        return {
            "documents": tuple(sorted(taken, key=lambda passage: passage.metadata[STANCE] != "refutes")),
            "vars.abstain": not refuted,
            "vars.stances": tuple(stances),
        }

    def _unjudged(self, documents: Documents) -> list[Stance]:
        """Return the passages as yet unjudged, with the reason for those that need no judgement."""
        words: list[set[str]] = []
        found = []
        for document in documents:
            dropped = self._refused(document)
            own = set(_WORD.findall(document.page_content.casefold()))
            if not dropped and any(_jaccard(own, other) >= _SAME for other in words):
                dropped = "near-duplicate"
            if not dropped:
                words.append(own)
            found.append(Stance(document.id, "unjudged", dropped=dropped))
        return found

    def _refused(self, document: Passage) -> str:
        """Return why the source of a passage is not used; what its metadata do not tell counts as not known."""
        if self.retracted == "drop" and document.metadata.get("retracted") is True:
            return "retracted"
        if self.peer_reviewed and document.metadata.get("peer_reviewed") is not True:
            return "not peer reviewed"
        if self.since is not None:
            year = document.metadata.get("year")
            if not (isinstance(year, (int, str)) and str(year)[:4].isdecimal() and int(str(year)[:4]) >= self.since):
                return f"not known to be of {self.since} or later"
        return ""

    async def _judge(self, claim: str, document: Passage, found: Stance) -> Stance:
        if found.dropped:
            return found
        try:
            if self.nli is not None:
                choice, names = await self.nli.entail(self.premise(document), claim), _OF_ENTAILMENT
            else:
                text = quoted(self.premise(document))
                prompt = render(self.prompt, claim=quoted(claim), text=text, stances=list(STANCES))
                names = {f" {name}" if isinstance(prompt, str) else name: name for name in STANCES}
                choice = await self.model.choose(prompt, list(names))
        except BudgetExceededError:
            raise
        except Exception as error:  # noqa: BLE001 - one passage must not end the question; it is recorded and flagged
            return replace(found, stance="error", dropped=f"{type(error).__name__}: {error}")
        stance, score = names[choice.label], _probability(choice)
        if score is not None and score < self.at_least:
            stance, score = "unrelated", None
        return replace(found, stance=stance, score=score)

    def premise(self, document: Passage) -> str:
        """Return what the judge reads of a passage."""
        return searched_text(document.page_content, document.metadata, self.fields)

    async def _fit(self, documents: Documents, judged: list[Stance]) -> list[Stance]:
        """Return the stances, with the reason for passages of no use and for those without room."""
        wanted = [
            replace(stance, dropped=stance.stance) if not stance.dropped and stance.stance not in self.keep else stance
            for stance in judged
        ]
        left = [number for number, stance in enumerate(wanted) if not stance.dropped]
        sizes = await asyncio.gather(*(self.model.count_tokens(documents[number].page_content) for number in left))
        room, places = self.tokens, self.k
        of = dict(zip(left, sizes, strict=True))
        for number in sorted(left, key=lambda number: wanted[number].stance != "refutes"):
            if places and of[number] <= room:
                room, places = room - of[number], places - 1
            else:
                reason = "no room" if places else f"beyond {self.k} passages"
                wanted[number] = replace(wanted[number], dropped=reason)
        return wanted


def _probability(choice: Choice) -> float | None:
    return None if choice.logprobs is None else choice.probability(choice.label)


def _jaccard(one: set[str], other: set[str]) -> float:
    """Return the share of common words; texts without words are alike."""
    return len(one & other) / len(one | other) if one or other else 1.0


def _marked(document: Passage, stance: Stance) -> Passage:
    of_source = {key: value for key, value in document.metadata.items() if key not in (STANCE, STANCE_SCORE)}
    said = {STANCE: stance.stance} | ({} if stance.score is None else {STANCE_SCORE: stance.score})
    return document.model_copy(update={"metadata": of_source | said})
