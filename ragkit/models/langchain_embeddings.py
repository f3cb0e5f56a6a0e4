"""Encoders behind a network: any langchain `Embeddings`."""

import json

import numpy as np

from ragkit.engine.calls import RemoteResource, Reply, Request
from ragkit.engine.registry import models
from ragkit.errors import RagkitError
from ragkit.models.base import Encoder
from ragkit.models.langchain_classes import LangChainClient
from ragkit.models.langchain_models import CHARACTERS_PER_TOKEN


@models.register("langchain-embeddings")
class LangChainEncoder(LangChainClient, Encoder, RemoteResource):
    """Embeddings of an installed langchain package; in Python, `LangChainEncoder.wrap(embeddings, name)`.

    Tokens are an estimate of 4 characters per token, as langchain's embeddings report no usage.
    """

    @classmethod
    def base(cls) -> type:
        from langchain_core.embeddings import Embeddings

        return Embeddings

    def fingerprint(self) -> str:
        return json.dumps({"provider": "langchain-embeddings", **self.describe()}, sort_keys=True)

    async def execute(self, request: Request) -> Reply:
        text, client = request.args["text"], self.client()
        if request.args["kind"] == "query":
            values = await client.aembed_query(text)
        else:
            (values,) = await client.aembed_documents([text])
        vector = np.asarray(values, dtype=np.float32)
        if vector.ndim != 1 or not np.isfinite(vector).all():
            raise RagkitError(f"{self.class_} did not answer with one vector of numbers (shape {vector.shape})")
        return Reply(vector, prompt_tokens=len(text) // CHARACTERS_PER_TOKEN + 1)
