"""Choose what goes into the reader's prompt."""

import asyncio

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.models.base import LanguageModel


@stage("context.pack", writes="vars.context")
class ContextPack(Stage):
    """Put the best passages that fit under a token budget into `context`; `documents` stays the full ranking.

    A passage that does not fit is left out whole and the next one is tried, so no passage is ever cut in the middle.
    """

    model: LanguageModel = Field(description="the reader, whose tokens are counted")
    tokens: int = Field(1024, ge=1, description="the most tokens of all passages together")

    async def run(self, documents: Documents) -> Documents:
        """Return the passages that fit, in their order."""
        sizes = await asyncio.gather(*(self.model.count_tokens(d.page_content) for d in documents))
        packed, room = [], self.tokens
        for document, size in zip(documents, sizes, strict=True):
            if size <= room:
                packed.append(document)
                room -= size
        return tuple(packed)
