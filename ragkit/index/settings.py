"""The settings of an index, as the YAML spells them."""

from typing import Literal

from pydantic import Field

from ragkit.engine.component import Component
from ragkit.models.base import Encoder

Device = Literal["auto", "cpu", "cuda"]


class DenseSettings(Component):
    """The vectors of an index: cosine similarity, searched by FAISS."""

    encoder: Encoder = Field(description="The model that turns passages and queries into vectors.")
    factory: str = Field("Flat", min_length=1, description="A faiss.index_factory string; Flat is exact.")
    device: Device = Field("auto", description="Where FAISS searches; auto takes a GPU if FAISS has one.")


class FusionSettings(Component):
    """Reciprocal rank fusion of the dense and the sparse ranking."""

    k: int = Field(10, ge=0, description="The constant added to ranks; the higher, the less the first ranks weigh.")
