"""Encoders behind a network: any langchain `Embeddings`."""

import asyncio
import json
from typing import Any, Self

import numpy as np
from pydantic import ConfigDict, Field, PrivateAttr, ValidationInfo, field_validator

from ragkit.engine.calls import RemoteResource, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import InputError, RagkitError
from ragkit.models.base import Encoder
from ragkit.models.langchain_classes import check_class_path, load_class, without_secrets
from ragkit.models.langchain_models import CHARACTERS_PER_TOKEN, make_client

# The policy on class names is for files: what `wrap` gets is imported already.
_WRAPPING = "wrap"


@models.register("langchain-embeddings")
class LangChainEncoder(Encoder, RemoteResource):
    """Embeddings of an installed langchain package; in Python, `LangChainEncoder.wrap(embeddings, name)`.

    Tokens are an estimate of 4 characters per token, as langchain's embeddings report no usage.

    Attributes:
        class_: dotted path of the class, e.g. `langchain_openai.OpenAIEmbeddings`; the key in a file is `class`.
        kwargs: arguments of its constructor.
    """

    model_config = ConfigDict(populate_by_name=True)

    class_: str = Field(alias="class")
    kwargs: dict[str, Any] = Field(default_factory=dict)

    _wrapped: Any = PrivateAttr(default=None)
    # Network connections belong to the event loop in which they were opened.
    _opened_in: tuple[asyncio.AbstractEventLoop, Any] | None = PrivateAttr(default=None)

    @field_validator("class_")
    @classmethod
    def _check_class(cls, path: str, info: ValidationInfo) -> str:
        return path if info.context == _WRAPPING else check_class_path(path)

    @classmethod
    def wrap(cls, embeddings: Any, name: str, **settings: Any) -> Self:
        """Use embeddings that exist already; `name` says which vectors they give, for caches and indexes.

        Raises:
            InputError: they are not langchain embeddings.
        """
        from langchain_core.embeddings import Embeddings

        if not isinstance(embeddings, Embeddings):
            raise InputError(f"{type(embeddings).__name__} is not a langchain Embeddings")
        path = f"{type(embeddings).__module__}.{type(embeddings).__qualname__}"
        wrapped = cls.model_validate({**settings, "class": path, "kwargs": {"name": name}}, context=_WRAPPING)
        wrapped._wrapped = embeddings
        return wrapped

    def describe(self) -> dict[str, Any]:
        return {"class": self.class_, "kwargs": without_secrets(self.kwargs)}

    def fingerprint(self) -> str:
        return json.dumps({"provider": "langchain-embeddings", **self.describe()}, sort_keys=True)

    async def execute(self, request: Request) -> Reply:
        text, client = request.args["text"], self._client()
        if request.args["kind"] == "query":
            values = await client.aembed_query(text)
        else:
            (values,) = await client.aembed_documents([text])
        vector = np.asarray(values, dtype=np.float32)
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise RagkitError(f"{self.class_} did not answer with one vector of numbers (shape {vector.shape})")
        return Reply(vector, prompt_tokens=len(text) // CHARACTERS_PER_TOKEN + 1)

    def close(self) -> None:
        self._opened_in = None

    def _client(self) -> Any:
        if self._wrapped is not None:
            return self._wrapped
        loop = asyncio.get_running_loop()
        if self._opened_in is None or self._opened_in[0] is not loop:
            from langchain_core.embeddings import Embeddings

            client = make_client(load_class(self.class_, Embeddings), self.kwargs, self.class_)
            self._opened_in = (loop, client)
        return self._opened_in[1]
