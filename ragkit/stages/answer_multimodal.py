"""Answer from pages: their text, and pictures of the pages or of their tables and figures."""

import math
import re
from typing import Annotated

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Citation, Documents, Passage
from ragkit.models.base import LanguageModel, Prompt
from ragkit.prompts import prompt_setting, render
from ragkit.stages.answer import cite, containing
from ragkit.stages.shown import Shown, cite_object, objects_of, pages_for_prompt
from ragkit.stages.wording import Wording, worded

GIVEN = ("question", "pages", "abstain", "words")
_NUMBER = r"\d{1,3}(?:\.\d{1,3})?"
MARKER = re.compile(rf"\s*\[({_NUMBER}(?:\s*,\s*{_NUMBER})*)\]")


@stage("answer.multimodal", writes=("answer", "citations", "vars.confidence"))
class AnswerMultimodal(Stage):
    """Answer from the pages and pictures that `context.pages` chose (without it, from the text of all `documents`).

    The model cites pages by number, `[2]`, and tables and figures by number and place, `[2.1]`. A citation of a page
    names the table or figure that holds the answer word for word, if there is one. A reply that cites nothing cites
    the first page that holds it. The reply in `abstain`, an empty reply and having no pages are abstentions.
    `vars.confidence` is as in `answer.read`.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176; the citations and abstaining are ragkit's own.
    """

    model: LanguageModel = Field(description="who answers: one that takes pictures, or only text if there are none")
    prompt: Annotated[str, prompt_setting(*GIVEN, needs=("question", "pages"))] = Field(
        "answer.multimodal", description="packaged prompt, or path of a .jinja file"
    )
    max_new_tokens: int = Field(400, ge=1, description="the most tokens of a reply")
    words: int = Field(200, ge=1, description="how many words the prompt asks for at most")
    abstain: str = Field("unanswerable", min_length=1, description="the reply that counts as abstaining")
    wording: Wording = Field("original", description="the question as it was asked, or as a rewriter clarified it")

    async def run(
        self,
        question: str,
        documents: Documents,
        context: Documents | None = None,
        media: tuple[Shown, ...] = (),
        questions: tuple[str, ...] | None = None,
    ) -> dict[str, str | float | tuple[Citation, ...] | None]:
        """Return the answer, its citations and its confidence."""
        pages = documents if context is None else context
        if not pages:
            return {"answer": None, "citations": (), "vars.confidence": None}
        prompt = self.render(worded(question, questions, self.wording), pages, media)
        generation = await self.model.generate(
            prompt, max_new_tokens=self.max_new_tokens, pictures=[shown.picture for shown in media]
        )
        confidence = None if generation.logprob is None else math.exp(generation.logprob)
        answer, citations = read_reply(generation.text, pages, self.abstain)
        return {"answer": answer, "citations": citations, "vars.confidence": confidence}

    def render(self, question: str, pages: Documents, media: tuple[Shown, ...]) -> Prompt:
        """Return the prompt of a question, with a slot for each picture."""
        shown = pages_for_prompt(pages, media)
        return render(self.prompt, question=question, pages=shown, abstain=self.abstain, words=self.words)


def read_reply(reply: str, pages: Documents, abstain: str) -> tuple[str | None, tuple[Citation, ...]]:
    """Return the answer of a reply, None if it abstains, and what it cites in order of first mention.

    Brackets are a citation if everything in them is the number of a page, or of a table or figure on it.
    """
    cited: dict[Citation, None] = {}
    known = {str(number): (page, None) for number, page in enumerate(pages, 1)} | {
        f"{number}.{place}": (page, one)
        for number, page in enumerate(pages, 1)
        for place, one in enumerate(objects_of(page), 1)
    }
    named: list[str] = []

    def take(match: re.Match[str]) -> str:
        names = [name.strip() for name in match.group(1).split(",")]
        if not all(name in known for name in names):
            return match.group()
        named.extend(names)
        return ""

    answer = MARKER.sub(take, reply).strip()
    if not answer or _plain(answer) == _plain(abstain):
        return None, ()
    for name in named:
        page, one = known[name]
        cited[cite_object(page, one) if one is not None else _cite(answer, page)] = None
    if not cited:
        cited = dict.fromkeys(_cite(answer, page) for page in containing(answer, pages)[:1])
    return answer, tuple(cited)


def _cite(answer: str, page: Passage) -> Citation:
    """Return a citation of a page, or of the table or figure on it that holds the answer."""
    for one in objects_of(page):
        said = page.model_copy(update={"page_content": "\n".join((one.caption, one.markdown))})
        if containing(answer, (said,)):
            return cite_object(page, one)
    return cite(page)


def _plain(text: str) -> str:
    return text.strip(" .").casefold()
