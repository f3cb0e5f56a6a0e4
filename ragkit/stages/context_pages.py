"""Choose the pages that a reader is shown, and how much of each."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Annotated, Literal

from pydantic import Field

from ragkit.engine.calls import flag
from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Passage
from ragkit.errors import RagkitError
from ragkit.models.base import LanguageModel
from ragkit.prompts import prompt_setting, render
from ragkit.stages.answer_multimodal import GIVEN
from ragkit.stages.cutting import shares, shorten
from ragkit.stages.shown import Capped, Shown, objects_of, page_image, pages_for_prompt
from ragkit.stages.wording import Wording, worded


@stage("context.pages", writes=("vars.context", "media"))
class ContextPages(Stage):
    """Show the reader the k best pages: their text, followed by pictures of their tables and figures.

    The pages stand in the order of the document by default. With `show: text` there are no pictures; the text says of
    tables their cells as Markdown, of figures their captions and words. With `render` there is a picture of each page
    and no text. Together with instruction and question everything stays below `tokens`: pictures are left out where
    they would take more than half of the room, those of the last-ranked page first; then the longest texts are cut at
    their ends, all to one length. Neither question nor instruction is ever cut.

    Source: Chia et al. 2025, M-LongDoc, arXiv 2411.06176; the budget and the other orders are ragkit's own.
    """

    model: LanguageModel = Field(description="the reader, whose tokens are counted")
    k: int = Field(5, ge=1, description="the most pages")
    order: Literal["document", "score", "shuffled"] = Field(
        "document", description="document: as in the document; score: best first; shuffled: at random, by the question"
    )
    show: Literal["auto", "text", "text+crops", "render"] = Field(
        "auto", description="auto: text+crops for a model that takes pictures, text for others; render: whole pages"
    )
    side: int = Field(768, ge=28, description="the most pixels of the longer side of a picture")
    tokens: int = Field(6144, ge=1, description="the most tokens of the prompt, question and instruction included")
    picture_tokens: int = Field(768, ge=1, description="how many tokens a picture counts for")
    prompt: Annotated[str, prompt_setting(*GIVEN)] = Field(
        "answer.multimodal", description="the prompt of the step that answers, for which room is kept"
    )
    wording: Wording = Field("original", description="the question as it was asked, or as a rewriter clarified it")

    async def run(
        self, question: str, documents: Documents, questions: tuple[str, ...] | None = None
    ) -> dict[str, Documents | tuple[Shown, ...]]:
        """Return the pages in their order, with as much of their texts as there is room for, and the pictures."""
        asked = worded(question, questions, self.wording)
        show = self.show if self.show != "auto" else "text+crops" if self.model.takes_pictures else "text"
        best = documents[: self.k]
        texts = ["" if show == "render" else page.page_content for page in best]
        bare = await self._count(asked, best, ())
        share = 1 if show == "render" else 2
        media = self._fitting(_pictures(best, show, self.side), max(0, self.tokens - bare) // share)
        room = self.tokens - len(media) * self.picture_tokens - await self._count(asked, best, media)
        if room < 0:
            raise RagkitError(
                f"question, instruction and the names of {len(best)} pages take {bare} tokens, which is more than "
                f"tokens: {self.tokens} leaves: raise it, or show fewer pages"
            )
        pages = await self._cut(best, texts, room)
        ordered = self._ordered(pages, question)
        place = {page.id: number for number, page in enumerate(ordered)}
        shown = sorted(media, key=lambda one: place[one.passage])  # those of a page stay in the order of the page
        return {"vars.context": tuple(ordered), "media": tuple(shown)}

    async def _count(self, question: str, pages: Sequence[Passage], media: Sequence[Shown]) -> int:
        """Return the tokens of the prompt with everything but the texts of the pages and what is seen in pictures."""
        bare = [page.model_copy(update={"page_content": ""}) for page in pages]
        values = {"question": question, "pages": pages_for_prompt(bare, media), "abstain": "unanswerable", "words": 200}
        filled = render(self.prompt, **values)
        turns = [filled] if isinstance(filled, str) else [turn["content"] for turn in filled]
        return sum(await asyncio.gather(*map(self.model.count_tokens, turns)))

    def _fitting(self, media: Sequence[Shown], room: int) -> Sequence[Shown]:
        """Return the pictures for which there is room, those of the best pages first."""
        fitting = media[: room // self.picture_tokens]
        if len(fitting) < len(media):
            flag("context.pages:pictures left out")
        return fitting

    async def _cut(self, pages: Sequence[Passage], texts: Sequence[str], room: int) -> list[Passage]:
        sizes = await asyncio.gather(*map(self.model.count_tokens, texts))
        allowed = shares(sizes, room)
        cut = await asyncio.gather(
            *(shorten(text, size, most, self.model) for text, size, most in zip(texts, sizes, allowed, strict=True))
        )
        if list(cut) != list(texts):
            flag("context.pages:text cut")
        return [page.model_copy(update={"page_content": text}) for page, text in zip(pages, cut, strict=True)]

    def _ordered(self, pages: list[Passage], question: str) -> list[Passage]:
        if self.order == "document":
            return sorted(pages, key=lambda page: (str(page.metadata.get("document")), page.metadata.get("page") or 0))
        if self.order == "shuffled":
            return Random(question).sample(pages, len(pages))  # noqa: S311 - not for secrets
        return pages


def _pictures(pages: Sequence[Passage], show: str, side: int) -> list[Shown]:
    """Return the pictures of pages, those of the first page first.

    Raises:
        InputError: a passage is no page.
    """
    if show == "text":
        return []
    if show == "render":
        return [Shown(page.id, None, Capped(page_image(page), side)) for page in pages]
    crops = [
        Shown(page.id, one, Capped(one.image, side))
        for page in pages
        for one in objects_of(page)
        if one.image is not None
    ]
    return [shown for shown in crops if shown.picture.shows_something()]
