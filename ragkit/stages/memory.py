"""Use what earlier questions found before asking the outside: decide, recall, store."""

from typing import Any

from pydantic import Field

from ragkit.engine.stage import Stage, stage
from ragkit.engine.state import Documents
from ragkit.errors import InputError
from ragkit.memory.reservoir import ORIGIN, Reservoir


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
    tau: float = Field(0.6, description="the lowest cosine of a title that counts; above 1 nothing counts")
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

    It stores whatever it is given, so it stands behind the filter. What came from memory alone is not stored again,
    because that would make it look new.

    Source: Shi et al. 2024 (ERM4), arXiv 2407.10670, the Memory Knowledge Reservoir.
    """

    memory: Reservoir

    async def run(self, documents: Documents) -> tuple[str, ...]:
        """Hand the passages in; later questions see them when the wave ends."""
        fresh = [passage for passage in documents if not passage.hits or any(h.stage != ORIGIN for h in passage.hits)]
        await self.memory.remember(fresh)
        return tuple(passage.id for passage in fresh)
