"""Steps of loops that search and write in turns: IRCoT and Iter-RetGen are YAML made of them."""

import re
from typing import Annotated, Any

from pydantic import Field

from ragkit.engine.controls import concatenate
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, render
from ragkit.stages.agents.actions import one_line

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_ANSWER = re.compile(r"\banswer is:?\s*(.+?)[\s.]*$", re.IGNORECASE)


@stage("context.collect", writes=("documents", "vars.collected"))
class ContextCollect(Stage):
    """In a loop: keep what earlier rounds found before what this round found, each passage once."""

    most: int | None = Field(None, ge=1, description="the most passages to keep; the earliest stay")

    async def run(self, documents: Documents, collected: Documents = ()) -> dict[str, Any]:
        """Return all passages so far."""
        kept = concatenate([collected, documents])[: self.most]
        return {"documents": kept, "vars.collected": kept}


@stage("reason.sentence", writes=("queries", "vars.thoughts", "vars.thought", "vars.answered", "answer"))
class ReasonSentence(Stage):
    """In a loop: write the next sentence of a chain of thought, which is the query of the next round.

    `vars.answered` is true when the sentence says what the answer is, or when nothing new was written.

    Source: Trivedi et al. 2023 (IRCoT), arXiv 2212.10509.
    """

    model: LanguageModel
    max_new_tokens: int = Field(64, ge=1, description="the most tokens of a sentence")
    prompt: Annotated[
        str, prompt_setting("question", "passages", "thoughts", needs=("question", "passages", "thoughts"))
    ] = Field("reason.sentence", description="packaged prompt, or path of a .jinja file")  # fmt: skip

    async def run(self, question: str, documents: Documents, thoughts: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the sentence, alone and after the earlier ones, and the answer if it is there."""
        prompt = render(self.prompt, question=question, passages=documents, thoughts=thoughts)
        stop = ["\n"] if isinstance(prompt, str) else []
        reply = (await self.model.generate(prompt, max_new_tokens=self.max_new_tokens, stop=stop)).text
        sentence = _SENTENCE.split(one_line(reply), maxsplit=1)[0]
        found = _ANSWER.search(sentence)
        new = bool(sentence) and sentence not in thoughts
        return {
            "queries": (sentence,) if new else (question,),
            "vars.thoughts": (*thoughts, sentence) if new else thoughts,
            "vars.thought": sentence,
            "vars.answered": found is not None or not new,
            "answer": found[1] if found is not None else None,
        }


@stage("rewrite.with_answer", writes="queries")
class RewriteWithAnswer(Stage):
    """In a loop: search again for the question with the answer of the round before beside it.

    Source: Shao et al. 2023 (Iter-RetGen), arXiv 2305.15294.
    """

    async def run(self, question: str, answer: str | None) -> tuple[str, ...]:
        """Return the query; after an abstention that is the question."""
        return (f"{question} {answer}" if answer else question,)
