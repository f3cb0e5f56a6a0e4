"""Choose what goes into the reader's prompt."""

import asyncio

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Passage
from ragkit.index.base import Index
from ragkit.models.base import LanguageModel


@stage("context.parents", writes="documents")
class ContextParents(Stage):
    """Read more than was found: put the page or section that a passage is part of in the place of the passage.

    A parent stands where the best of its passages stood, once, with that one's score and the hits of all of them. It
    keeps the page and box of the best passage, so that citations point at what was found. Passages without a parent
    stay. The index makes parents if its `chunking` has a `parent`.
    """

    index: Index

    async def run(self, documents: Documents) -> Documents:
        """Return the parents, in the order of their best passages."""
        named = {name for document in documents if (name := document.metadata.get("parent")) is not None}
        parents = self.index.parents(sorted(named)) if named else {}
        read: dict[str, Passage] = {}
        for document in documents:
            parent = parents.get(document.metadata.get("parent", ""))
            if parent is None:
                read.setdefault(document.id, document)
            elif parent.id in read:
                hits = dict.fromkeys((*read[parent.id].hits, *document.hits))
                read[parent.id] = read[parent.id].model_copy(update={"hits": tuple(hits)})
            else:
                place = {key: document.metadata[key] for key in ("page", "box") if key in document.metadata}
                found = {"metadata": parent.metadata | place, "score": document.score, "hits": document.hits}
                read[parent.id] = parent.model_copy(update=found)
        return tuple(read.values())


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
