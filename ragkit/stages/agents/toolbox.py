"""An agent's further actions: tools, and searches of other indexes than the pipeline's."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator

from ragkit.engine.component import Component
from ragkit.engine.state import Documents, Passage
from ragkit.errors import BudgetExceededError
from ragkit.index.base import Index
from ragkit.models.base import Tool
from ragkit.stages.agents.actions import Action, Offer
from ragkit.stages.agents.searching import search_unseen


class AgentTool(Component):
    """One further action."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="what the model calls it")
    tool: Tool | None = Field(None, description="a tool that is declared under `models`")
    index: Index | None = Field(None, description="or an index that is declared there (provider: local-index)")
    description: str = Field("", description="when it is of use; by default the tool's own description")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.tool is None) == (self.index is None):
            raise ValueError(f"action '{self.name}': name a tool or an index")
        if self.index is not None and not self.description:
            raise ValueError(f"action '{self.name}': describe what the index holds, or no model can choose it")
        return self


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an action; see `Turn`."""

    passages: Documents
    said: str
    failed: bool
    new: int | None


class Toolbox:
    """The further actions of an agent."""

    def __init__(self, tools: Sequence[AgentTool]) -> None:
        self._tools = {tool.name: tool for tool in tools}

    def offers(self) -> list[Offer]:
        """Return the actions as a model is told of them."""
        return [self._offer(tool) for tool in self._tools.values()]

    def searches(self, name: str) -> bool:
        """Say whether an action is a search."""
        return self._tools[name].index is not None

    async def use(self, action: Action, k: int, seen: Iterable[str], depth: int) -> Outcome:
        """Carry an action out. A tool that fails says so in its observation, and the loop goes on.

        What a tool says is a passage too, so that it can be read and cited.
        """
        own = self._tools[action.name]
        if own.index is not None:
            index = own.index

            async def ranking(query: str, deep: int) -> Documents:
                return await index.search_by("hybrid", query, deep)

            found = await search_unseen(ranking, action.query, k, seen, depth)
            return Outcome(found.passages, "" if found.passages else "Nothing was found.", False, found.new)
        assert own.tool is not None  # noqa: S101 - the validator sees to it
        try:
            said = await own.tool.use(_arguments(self._offer(own), action.query))
        except BudgetExceededError:
            raise
        except Exception as error:  # noqa: BLE001 - of a third party's code; it is told to the model, and counted
            return Outcome((), f"failed: {type(error).__name__}: {str(error)[:200]}", True, None)
        if not said.strip():
            return Outcome((), "It said nothing.", False, None)
        digest = hashlib.sha256(f"{action.query}\n{said}".encode()).hexdigest()[:12]
        metadata = {"source": own.name, "title": f"{own.name}: {action.query}"}
        return Outcome((Passage(id=f"{own.name}:{digest}", page_content=said, metadata=metadata),), "", False, None)

    @staticmethod
    def _offer(own: AgentTool) -> Offer:
        if own.tool is None:
            return Offer(own.name, own.description)
        card = own.tool.card()
        return Offer(own.name, own.description or card.description, card.schema)


def _arguments(offer: Offer, query: str) -> Any:
    """Return a tool's arguments.

    Raises:
        ValueError: they are no JSON object, though the tool takes several.
    """
    if offer.argument is not None:
        return {offer.argument: query}
    value = json.loads(query)
    if not isinstance(value, dict):
        raise ValueError("the arguments are no JSON object")
    return value
