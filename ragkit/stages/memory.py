"""Use what earlier questions found before asking the outside: decide, recall, store."""

from typing import Any

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError
from ragkit.memory.reservoir import ORIGIN, Reservoir

_LABEL, _PROBABILITY = "nli_label", "nli_probability"
"""Where `filter.knowledge` puts what it says of a passage that it keeps."""
_ENTAILED = "entailment"


@stage("memory.trigger", writes=("vars.external", "vars.remembered"))
class MemoryTrigger(Stage):
    """Decide for one query whether to search outside: yes, unless enough passages in memory have a title like it.

    A query's popularity is the number of passages whose title has a cosine of at least `tau` with it; below `theta` the
    query goes outside, `vars.external` is true. `vars.remembered` holds the query, its popularity and the keys and
    cosines of all that match, for `memory.recall`. Several queries are decided one by one: `each: {over: queries}`.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, the Retrieval Trigger. What `tau` means depends on the encoder:
    the default is the paper's, and `ragkit calibrate memory` finds the one for another.
    """

    memory: Reservoir
    tau: float = Field(
        0.6, allow_inf_nan=False, description="the lowest cosine of a title that counts; above 1 nothing counts"
    )
    theta: int = Field(3, ge=1, description="the popularity from which on memory is enough")

    async def run(self, queries: tuple[str, ...]) -> dict[str, Any]:
        """Look the query up."""
        if len(queries) > 1:
            raise InputError(
                f"memory.trigger decides about one query and there are {len(queries)}: put it, and what depends on "
                "vars.external, into 'each: {over: queries, do: [...]}'"
            )
        query = "".join(queries)
        found = await self.memory.find(query, self.tau)
        remembered = {"query": query, "popularity": found.popularity, "matches": found.matches}
        return {"vars.external": found.popularity < self.theta, "vars.remembered": remembered}


@stage("memory.recall", writes="documents")
class MemoryRecall(Stage):
    """Bring back all passages that `memory.trigger` matched, the most similar title first.

    They were useful to other questions: put a filter behind it, and a search where the filter leaves nothing.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, the Memory Knowledge Reservoir.
    """

    memory: Reservoir

    async def run(self, remembered: dict[str, Any]) -> Documents:
        """Return the passages, found by `memory`."""
        return self.memory.recall(remembered["query"], remembered["matches"])


@stage("memory.store", writes="vars.stored")
class MemoryStore(Stage):
    """Keep the passages at hand for later questions; `vars.stored` names them.

    It stands behind the filter: what the filter dropped is not there to be stored, and of what it kept only passages
    that it labelled `entailment` are (without a filter: all). The labels themselves are not kept, because they are
    about one question. What came from memory alone is not stored again, because that would make it look new.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, the Memory Knowledge Reservoir.
    """

    memory: Reservoir

    async def run(self, documents: Documents) -> tuple[str, ...]:
        """Hand the passages in; later questions see them when the wave ends."""
        fresh = [passage for passage in documents if _is_new(passage) and _is_entailed(passage)]
        await self.memory.remember([_bare(passage) for passage in fresh])
        return tuple(passage.id for passage in fresh)


def _is_new(passage: Passage) -> bool:
    return not passage.hits or any(hit.stage != ORIGIN for hit in passage.hits)


def _is_entailed(passage: Passage) -> bool:
    return bool(passage.metadata.get(_LABEL, _ENTAILED) == _ENTAILED)


def _bare(passage: Passage) -> Passage:
    """Return a passage without what a filter said of it."""
    metadata = {key: value for key, value in passage.metadata.items() if key not in (_LABEL, _PROBABILITY)}
    return passage.model_copy(update={"metadata": metadata})
