"""Write a polite response that refutes a false claim from evidence, and check it before anybody sees it."""

import asyncio
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Passage
from ragkit.models.base import EntailmentModel, LanguageModel, Prompt, TextClassifier
from ragkit.models.rewards import Reward, Rollout
from ragkit.prompts import prompt_setting, render
from ragkit.stages.answer import cite
from ragkit.stages.refuting.checks import Checked, Checks, check_response
from ragkit.stages.refuting.drafts import best_of, columns_of_claim, draw
from ragkit.stages.refuting.response import read_response
from ragkit.stages.refuting.templates import abstention, quoted_evidence

ABSTAINED, FELL_BACK, REPAIRED = "answer.refute:abstained", "answer.refute:fallback", "answer.refute:repaired"
"""Flags: nothing refutes the claim; no checked response, so evidence is quoted instead; sentences were dropped."""

Status = Literal["checked", "fallback", "abstained"]


@stage("answer.refute", writes=("answer", "citations", "vars.response", "vars.review"))
class AnswerRefute(Stage):
    """Refute a claim from its evidence in two to five sentences with citations, then check what was written.

    Sentences that cite a number that no passage has, and factual ones that no passage entails, are dropped. What is
    left has to cite evidence, contradict the claim and be polite, as far as there is a judge of it; else a fallback
    quotes the first passage whose stance is `refutes` instead of what the model wrote. Where nothing refutes
    (`vars.abstain`, no passages, or none to fall back on), the answer is None, and a template says so. With `samples`
    above 1 the best of several drafts by `reward` is checked: the arg-max, of equal ones the first.

    Nothing is posted anywhere. `vars.review` says what a person has to do before anything is: `approve` a draft that
    passed every check, `check` one that passed those that could be made, or `rewrite` the rest. `vars.response` holds
    the `response` as it would be shown, with `disclaimer`; the `evidence` (id, title, passage, score, stance); the
    `scores` of the checks; `status` (`checked`, `fallback`, `abstained`); the `problems` found, the sentences
    `dropped`, the `draft`, and which checks were `unchecked` because nobody is named who can make them.

    Source: Yue et al. 2024 (RARG), arXiv 2403.14952, response generation; prompt, checks and templates are ragkit's.
    """

    model: LanguageModel
    nli: EntailmentModel | None = Field(None, description="checks that the response contradicts, and is entailed")
    politeness: TextClassifier | None = Field(None, description="checks that the response is polite")
    polite: str = Field("polite", min_length=1, description="what that classifier calls polite texts")
    prompt: Annotated[str, prompt_setting("claim", "passages", needs=("claim", "passages"))] = Field(
        "answer.refute", description="packaged prompt, or path of a .jinja file"
    )
    max_new_tokens: int = Field(160, ge=1, description="the most tokens of a response")
    samples: int = Field(1, ge=1, description="drafts, of which the reward chooses the best")
    temperature: float = Field(0.0, ge=0, description="of the drafts; 0 is the one greedy draft")
    seed: int = Field(0, ge=0, description="of the drafts")
    reward: Reward | None = Field(None, description="chooses among several drafts")
    refutes: float = Field(0.5, ge=0, le=1, description="least probability that the response contradicts the claim")
    courteous: float = Field(0.5, ge=0, le=1, description="least probability that the response is polite")
    supported: float = Field(0.5, ge=0, le=1, description="least probability that evidence entails a factual sentence")
    disclaimer: str = Field("", description="stands at the end of every response")

    @model_validator(mode="after")
    def _drafts_differ(self) -> "AnswerRefute":
        if self.samples > 1 and not (self.temperature and self.reward):
            raise ValueError("several samples need a 'temperature' above 0 and a 'reward' that chooses")
        return self

    async def run(
        self, question: str, documents: Documents, claim: str | None = None, abstain: bool = False
    ) -> dict[str, Any]:
        """Return the response, its citations, what a person has to do with it, and everything about it."""
        asked = claim or question
        if abstain or not documents:
            flag(ABSTAINED)
            nothing = Checked(abstention(), problems=("nothing refutes the claim",))
            return self._written("abstained", nothing, documents, "")
        draft = await self._draft(asked, documents)
        checked = await check_response(draft, asked, documents, self._checks())
        if checked.dropped:
            flag(REPAIRED)
        if not checked.problems:
            return self._written("checked", checked, documents, draft)
        quotation = quoted_evidence(documents)
        if quotation is None:
            flag(ABSTAINED)
            return self._written("abstained", replace(checked, text=abstention()), documents, draft)
        flag(FELL_BACK)
        return self._written("fallback", replace(checked, text=quotation), documents, draft)

    def filled(self, claim: str, documents: Documents) -> Prompt:
        """Return the prompt of a claim with its evidence."""
        return render(self.prompt, claim=claim, passages=documents)

    def _checks(self) -> Checks:
        return Checks(self.nli, self.politeness, self.polite, self.refutes, self.courteous, self.supported)

    async def _draft(self, claim: str, documents: Documents) -> str:
        prompt = self.filled(claim, documents)
        drafts = await draw(self.model, prompt, self.samples, self.max_new_tokens, self.temperature, self.seed)
        if self.reward is None or len(drafts) == 1:
            return drafts[0]
        columns = columns_of_claim(claim, documents)
        self.reward.require(columns)
        earned = await asyncio.gather(*(self.reward.score(Rollout(prompt, draft, columns)) for draft in drafts))
        return drafts[best_of(earned)]

    def _written(self, status: Status, checked: Checked, documents: Documents, draft: str) -> dict[str, Any]:
        """Return what the stage writes of a response."""
        text = f"{checked.text} {self.disclaimer}".strip()
        answer = None if status == "abstained" else text
        cited = {number for sentence in read_response(answer or "") for number in sentence.cited}
        unchecked = self._checks().missing()
        response = {
            "response": text,
            "evidence": [_shown(passage) for passage in documents],
            "scores": checked.scores,
            "status": status,
            "problems": list(checked.problems),
            "dropped": list(checked.dropped),
            "draft": draft,
            "unchecked": unchecked,
        }
        return {
            "answer": answer,
            "citations": tuple(cite(passage) for number, passage in enumerate(documents, 1) if number in cited),
            "vars.response": response,
            "vars.review": "rewrite" if checked.problems else "check" if unchecked else "approve",
        }


def _shown(passage: Passage) -> dict[str, Any]:
    return {
        "id": passage.id,
        "title": str(passage.metadata.get("title") or ""),
        "passage": passage.page_content,
        "score": passage.score,
        "stance": passage.metadata.get("stance"),
    }
