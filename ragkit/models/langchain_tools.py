"""Tools of langchain, for agents."""

import json

from pydantic import Field

from ragkit.engine.calls import RemoteResource, Reply, Request
from ragkit.engine.registry import models
from ragkit.models.base import Tool, ToolCard
from ragkit.models.langchain_classes import LangChainClient


@models.register("langchain-tool")
class LangChainTool(LangChainClient, Tool, RemoteResource):
    """Any tool of an installed langchain package; in Python, `LangChainTool.wrap(made, name)`.

    What it says is cached like every answer: another `state` makes it ask anew.
    """

    description: str = Field("", description="what it is good for; by default the tool's own description")
    state: str = Field("", description="names what the tool knows; another name makes cached answers stale")

    @classmethod
    def base(cls) -> type:
        from langchain_core.tools import BaseTool

        return BaseTool

    def fingerprint(self) -> str:
        return json.dumps({"provider": "langchain-tool", **self.describe(), "state": self.state}, sort_keys=True)

    def card(self) -> ToolCard:
        made = self.client()
        return ToolCard(self.description or made.description, made.get_input_jsonschema())

    async def execute(self, request: Request) -> Reply:
        said = await self.client().ainvoke(request.args["arguments"])
        return Reply(said if isinstance(said, str) else json.dumps(said, ensure_ascii=False, default=str))
