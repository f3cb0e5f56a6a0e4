"""Filter passages before anything is read."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Passage
from ragkit.errors import BudgetExceededError, ReplyError
from ragkit.models.base import (
    ENTAILMENT,
    Choice,
    EntailmentModel,
    JointEntailmentModel,
    LanguageModel,
    Premise,
    Prompt,
)
from ragkit.prompts import prompt_setting, render
from ragkit.stages.wording import Wording, worded

LABEL, PROBABILITY = "nli_label", "nli_probability"
"""Where a passage's metadata keep what the filter said of it; the probability is that of entailment, if it is known."""
ERRORS, NO_EVIDENCE = "filter.knowledge:error", "filter.knowledge:no_evidence"
"""Flags of a question: a passage could not be judged; no passage was kept of those that came."""

_ENTAILS = ENTAILMENT[0]
_SPELLINGS = {
    "entail": _ENTAILS,
    "entails": _ENTAILS,
    "entailed": _ENTAILS,
    "neural": "neutral",
    "contradict": "contradiction",
    "contradicts": "contradiction",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the filter said of a passage.

    Attributes:
        passage: its id.
        label: `entailment`, `neutral`, `contradiction` or `error`.
        probability: of entailment; None where the model does not tell.
        reason: the error, or the model's explanation.
    """

    passage: str
    label: str
    probability: float | None = None
    reason: str = ""


@stage("filter.knowledge", writes=("documents", "vars.verdicts"))
class FilterKnowledge(Stage):
    """Keep the passages that entail an answer to the question, by natural language inference.

    Premise is a passage, hypothesis that it tells what the question asks. Passages are judged one by one, unless `nli`
    is a model that judges them together (provider `evidence`). Neutral and contradicting passages are
    dropped; the order stays. The verdicts on all passages go to `vars.verdicts`, those on the kept ones also into their
    metadata (`nli_label`, `nli_probability`). A passage that cannot be judged harms no other: it has the label `error`
    and its question a flag, as has one of which no passage was kept.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, the Knowledge Filter.
    """

    model: LanguageModel | None = Field(None, description="a language model that judges")
    nli: EntailmentModel | None = Field(None, description="an entailment model, instead")
    mode: Literal["choose", "reply", "explain"] = Field(
        "choose",
        description="choose: the labels' probabilities | reply: a written label | explain: a reason, then a label",
    )
    prompt: Annotated[str, prompt_setting("premise", "title", "question", "labels", "mode")] = Field(
        "filter.knowledge", description="packaged prompt, or path of a .jinja file"
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="keep from this probability of entailment on; by default the likeliest label counts",
    )
    wording: Wording = Field("rewritten", description="the question as it was asked, or as a rewriter clarified it")
    title: bool = Field(False, description="show the title of a passage before its text")
    on_error: Literal["drop", "keep"] = Field("drop", description="what becomes of a passage that cannot be judged")
    max_new_tokens: int = Field(128, ge=1, description="the most tokens of a written reply")

    @model_validator(mode="after")
    def _check(self) -> "FilterKnowledge":
        if (self.model is None) == (self.nli is None):
            raise ValueError("name either 'model' (a language model) or 'nli' (an entailment model)")
        if self.model is not None and self.mode != "choose" and self.threshold is not None:
            raise ValueError(f"mode {self.mode} tells no probabilities: leave 'threshold' out, or use mode: choose")
        return self

    async def run(
        self, question: str, documents: Documents, questions: tuple[str, ...] | None = None
    ) -> dict[str, Any]:
        """Return the passages that are kept, and the verdicts on all."""
        asked = worded(question, questions, self.wording)
        if isinstance(self.nli, JointEntailmentModel) and documents:
            verdicts = await self._judge_together(self.nli, asked, documents)
        else:
            verdicts = await asyncio.gather(*(self._judge(asked, document) for document in documents))
        judged = zip(documents, verdicts, strict=True)
        kept = tuple(_marked(document, verdict) for document, verdict in judged if self._keeps(verdict))
        if any(verdict.label == "error" for verdict in verdicts):
            flag(ERRORS)
        if documents and not kept:
            flag(NO_EVIDENCE)
        return {"documents": kept, "vars.verdicts": tuple(verdicts)}

    def _keeps(self, verdict: Verdict) -> bool:
        return verdict.label == _ENTAILS or (verdict.label == "error" and self.on_error == "keep")

    async def _judge(self, question: str, document: Passage) -> Verdict:
        try:
            if self.nli is not None:
                premise = "\n".join(filter(None, self.premise(document)))
                return self._verdict(document, await self.nli.entail(premise, question))
            assert self.model is not None  # noqa: S101 - the validator sees to it
            prompt = self.render(question, document)
            if self.mode != "choose":
                return await self._written(self.model, prompt, document)
            spelt = spelt_labels(prompt)
            choice = await self.model.choose(prompt, list(spelt))
            named = choice.logprobs and {spelt[text]: value for text, value in choice.logprobs.items()}
            return self._verdict(document, Choice(spelt[choice.label], named))
        except BudgetExceededError:
            raise
        except Exception as error:  # noqa: BLE001 - one passage must not end the question; it is recorded and flagged
            return _error(document, error)

    async def _judge_together(
        self, nli: JointEntailmentModel, question: str, documents: Documents
    ) -> Sequence[Verdict]:
        try:
            choices = await nli.entail_each([self.premise(document) for document in documents], question)
        except BudgetExceededError:
            raise
        except Exception as error:  # noqa: BLE001 - as for a single passage
            return [_error(document, error) for document in documents]
        return [self._verdict(document, choice) for document, choice in zip(documents, choices, strict=True)]

    def premise(self, document: Passage) -> Premise:
        """Return what is judged of a passage: its text, and its title if it is known and wanted."""
        return Premise(str(document.metadata.get("title") or "") if self.title else "", document.page_content)

    def render(self, question: str, document: Passage) -> Prompt:
        """Return the prompt about a passage; texts are quoted, so that none can end where it likes."""
        title, text = self.premise(document)
        return render(
            self.prompt,
            premise=_quoted(text),
            title=_quoted(title) if title else "",
            question=_quoted(question),
            labels=list(ENTAILMENT),
            mode=self.mode,
        )

    def _verdict(self, document: Passage, choice: Choice) -> Verdict:
        probability = None if choice.logprobs is None else choice.probability(_ENTAILS)
        label = choice.label
        if self.threshold is not None:
            label = _ENTAILS if choice.probability(_ENTAILS) >= self.threshold else _likeliest_other(choice)
        return Verdict(document.id, label, probability)

    async def _written(self, model: LanguageModel, prompt: Prompt, document: Passage) -> Verdict:
        label = {"label": {"enum": list(ENTAILMENT)}}
        properties = {"explanation": {"type": "string", "maxLength": 300}} | label if self.mode == "explain" else label
        schema = {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }
        try:
            text = (await model.generate(prompt, max_new_tokens=self.max_new_tokens, schema=schema)).text
        except ReplyError as error:
            text = error.reply
        return read_verdict(text, document.id)


def read_verdict(text: str, passage: str) -> Verdict:
    """Return the verdict of a written reply: a JSON object with a label, or the label alone.

    Raises:
        ReplyError: it holds no label.
    """
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    fields = value if isinstance(value, dict) else {"label": value}
    said = fields.get("label", fields.get("NLI result"))
    plain = said.strip(" .!'\"\n").casefold() if isinstance(said, str) else ""
    label = _SPELLINGS.get(plain, plain)
    if label not in ENTAILMENT:
        raise ReplyError(f"the reply holds none of the labels {', '.join(ENTAILMENT)}: {text[:200]!r}", text)
    return Verdict(passage, label, reason=str(fields.get("explanation", "")))


def spelt_labels(prompt: Prompt) -> dict[str, str]:
    """Return the labels by how they go on after a prompt: after a text a blank stands before them, in a turn none."""
    return {f" {label}" if isinstance(prompt, str) else label: label for label in ENTAILMENT}


def _likeliest_other(choice: Choice) -> str:
    """Return the likeliest label that is not entailment; neutral where only entailment was possible."""
    return max(ENTAILMENT[1:], key=lambda label: (choice.logprobs or {}).get(label, float("-inf")))


def _error(document: Passage, error: Exception) -> Verdict:
    return Verdict(document.id, "error", reason=f"{type(error).__name__}: {error}")


def _marked(document: Passage, verdict: Verdict) -> Passage:
    said = {LABEL: verdict.label} | ({} if verdict.probability is None else {PROBABILITY: verdict.probability})
    return document.model_copy(update={"metadata": document.metadata | said})


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
