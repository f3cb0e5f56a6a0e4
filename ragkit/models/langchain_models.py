"""Chat models behind a network: any langchain chat model, and servers that speak the OpenAI protocol."""

import asyncio
import json
import math
import os
from abc import abstractmethod
from typing import Any, ClassVar

from pydantic import PrivateAttr

from ragkit.engine.calls import RemoteResource, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError, need
from ragkit.models.base import LanguageModel
from ragkit.models.chat_calls import ChatCalls
from ragkit.models.langchain_classes import LangChainClass, load_class, make_client, without_secrets
from ragkit.models.secrets import mask_url_secrets

CHARACTERS_PER_TOKEN = 4


class _ChatModel(LanguageModel, RemoteResource):
    """What all remote chat models share.

    Retries, deadlines and concurrency are those of `RemoteResource`; the langchain model's own retries are off.
    Plain text is one user turn. `count_tokens` is an estimate of 4 characters per token, and so are the tokens of a
    reply whose server does not report its usage; pictures are not part of the estimate.
    """

    takes_pictures: ClassVar[bool] = True

    # Network connections belong to the event loop in which they were opened, and each run has a loop of its own.
    _calls: tuple[asyncio.AbstractEventLoop, ChatCalls] | None = PrivateAttr(default=None)

    @abstractmethod
    def _client(self) -> Any:
        """Make a langchain chat model with fresh connections."""

    async def count_tokens(self, text: str) -> int:
        """Return the estimate at once: nothing to wait for behind the calls over the network."""
        return math.ceil(len(text) / CHARACTERS_PER_TOKEN)

    async def execute(self, request: Request) -> Reply:
        loop = asyncio.get_running_loop()
        if self._calls is None or self._calls[0] is not loop:
            self._calls = (loop, ChatCalls(self._client(), CHARACTERS_PER_TOKEN))
        calls = self._calls[1]
        if request.op == "likelihood":
            raise RagkitError("a remote model does not tell how probable a given text is: use one of this machine")
        if request.op == "generate":
            return await calls.generate(request.args, request.payload or ())
        return await calls.choose(request.args)

    def close(self) -> None:
        self._calls = None


@models.register("langchain")
class LangChainModel(LangChainClass, _ChatModel):
    """Any chat model of an installed langchain package; in Python, `LangChainModel.wrap(chat_model, name)`."""

    @classmethod
    def base(cls) -> type:
        from langchain_core.language_models import BaseChatModel

        return BaseChatModel

    def fingerprint(self) -> str:
        settings: Any = self.kwargs
        if self._wrapped is not None:
            fields = {name: getattr(self._wrapped, name) for name in type(self._wrapped).model_fields}
            settings = {**self.kwargs, "fields": fields}
        return json.dumps(
            {"provider": "langchain", "class": self.class_, "kwargs": without_secrets(settings)}, sort_keys=True
        )

    def _client(self) -> Any:
        if self._wrapped is not None:
            return self._wrapped
        return make_client(load_class(self.class_, self.base()), self.kwargs, self.class_)


@models.register("openai")
class OpenAIModel(_ChatModel):
    """A model on a server that speaks the OpenAI protocol: OpenAI itself, vLLM, Ollama, llama.cpp ...

    Attributes:
        model: the model's name on the server.
        base_url: the server's address, with its path (`http://localhost:8000/v1`); None is that of the environment
            (OPENAI_API_BASE or OPENAI_BASE_URL), else OpenAI's own.
        api_key_env: environment variable that holds the key; servers at a `base_url` may need none.
    """

    model: str
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"

    def fingerprint(self) -> str:
        url = self._resolved_url
        return json.dumps({"provider": "openai", "model": self.model, "base_url": url and mask_url_secrets(url)})

    @property
    def _resolved_url(self) -> str | None:
        return self.base_url or os.environ.get("OPENAI_API_BASE") or os.environ.get("OPENAI_BASE_URL") or None

    def _client(self) -> Any:
        key = os.environ.get(self.api_key_env)
        if not key and self.base_url is None:
            raise InputError(f"the environment variable {self.api_key_env} with the API key is not set")
        chat_models = need("langchain_openai.chat_models.base", "'ragkit[openai]'", "provider: openai")
        # OpenAI's own class renames `max_tokens` to `max_completion_tokens`, which not every other server knows.
        client = chat_models.BaseChatOpenAI if self.base_url else chat_models.ChatOpenAI
        settings: dict[str, Any] = {"model": self.model, "base_url": self._resolved_url, "use_responses_api": False}
        return make_client(client, settings | {"api_key": key or "none"}, "openai")
