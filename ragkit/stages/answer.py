"""Read the answer out of passages."""

import math
import re
from typing import Annotated, Literal

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Citation, Documents, Passage
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, render
from ragkit.stages.wording import Wording, worded

MARKER = re.compile(r"\s*\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")


@stage("answer.read", writes=("answer", "citations", "vars.confidence"))
class AnswerRead(Stage):
    """Answer in a few words from the packed passages (`context`, otherwise all `documents`), with citations.

    The model cites by number, `12 percent [2]`. If it cites none, the first passage that contains the
    answer word for word is cited. The reply in `abstain`, an empty reply, and having no
    passages at all (unless `without_passages` is `ask`) are abstentions: the answer is None and nothing is cited.
    `vars.confidence` is the geometric mean of the probabilities of the reply's tokens, None where the model does not
    tell them.
    """

    model: LanguageModel
    prompt: Annotated[str, prompt_setting("question", "passages", "abstain")] = Field(
        "answer.read", description="packaged prompt, or path of a .jinja file"
    )
    max_new_tokens: int = Field(32, ge=1, description="the most tokens of a reply")
    abstain: str = Field("unanswerable", min_length=1, description="the reply that counts as abstaining")
    contrast: bool = Field(
        False, description="give the model the prompt without passages too, for its guide with `prompt: contrast`"
    )
    without_passages: Literal["abstain", "ask"] = Field(
        "abstain", description="what to do if there are no passages; a prompt has to be written for being asked"
    )
    wording: Wording = Field("original", description="the question as it was asked, or as a rewriter clarified it")

    async def run(
        self,
        question: str,
        documents: Documents,
        context: Documents | None = None,
        questions: tuple[str, ...] | None = None,
    ) -> dict[str, str | float | tuple[Citation, ...] | None]:
        """Return the answer, its citations and its confidence."""
        passages = documents if context is None else context
        reply = ""
        confidence = None
        if passages or self.without_passages == "ask":
            asked = worded(question, questions, self.wording)
            prompt = render(self.prompt, question=asked, passages=passages, abstain=self.abstain)
            bare = render(self.prompt, question=asked, passages=(), abstain=self.abstain) if self.contrast else None
            # A text would go on with a further example after the answer; a chat model ends its turn itself.
            stop = ["\n"] if isinstance(prompt, str) else []
            generation = await self.model.generate(
                prompt, max_new_tokens=self.max_new_tokens, stop=stop, contrast_prompt=bare
            )
            reply = first_line(generation.text)
            confidence = None if generation.logprob is None else math.exp(generation.logprob)
        answer, numbers = read_reply(reply, len(passages), self.abstain)
        if answer is None:
            return {"answer": None, "citations": (), "vars.confidence": confidence}
        cited = [passages[number - 1] for number in numbers]
        cited = cited or containing(answer, passages)[:1]
        return {"answer": answer, "citations": tuple(map(cite, cited)), "vars.confidence": confidence}


def first_line(text: str) -> str:
    """Return the part of a generated text that is the reply."""
    return text.strip().partition("\n")[0]


def read_reply(reply: str, passages: int, abstain: str) -> tuple[str | None, list[int]]:
    """Return the answer of a reply, None if it abstains, and the numbers of the passages that it cites.

    Args:
        reply: what the model wrote.
        passages: how many there were in the prompt.
        abstain: the reply that counts as abstaining.
    """
    answer, numbers = split_markers(reply, passages)
    if not answer or _plain(answer) == _plain(abstain):
        return None, []
    return answer, numbers


def split_markers(reply: str, passages: int) -> tuple[str, list[int]]:
    """Return a reply without its citation markers, and the cited numbers in order of first mention.

    Brackets are a marker if all their numbers are those of passages, 1 to `passages`.
    """
    numbers: dict[int, None] = {}

    def take(match: re.Match[str]) -> str:
        found = [int(number) for number in match.group(1).split(",")]
        if not all(1 <= number <= passages for number in found):
            return match.group()
        numbers.update(dict.fromkeys(found))
        return ""

    return MARKER.sub(take, reply).strip(), list(numbers)


def _plain(text: str) -> str:
    return text.strip(" .").casefold()


def containing(answer: str, passages: Documents) -> list[Passage]:
    """Return the passages that hold the answer as whole words, whatever the case and the spacing."""
    words = r"\s+".join(re.escape(word) for word in answer.strip(" .").split())
    pattern = re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)
    return [passage for passage in passages if words and pattern.search(passage.page_content)]


def cite(passage: Passage) -> Citation:
    """Return a citation of a passage, with page and box where the document has them."""
    metadata = passage.metadata
    box = metadata.get("box")
    return Citation(
        passage=passage.id,
        source=str(metadata.get("source") or metadata.get("document") or passage.id),
        page=metadata.get("page"),
        box=tuple(box) if box else None,
    )
