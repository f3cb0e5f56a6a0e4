"""The settings of the vectors of an index, as the YAML spells them."""

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ragkit.index.part import PartSettings
from ragkit.models.base import Encoder
from ragkit.models.devices import resolve_device

Metric = Literal["cosine", "inner_product", "l2"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["float32", "float16"]


class DenseSettings(PartSettings):
    """The vectors of an index, searched by FAISS.

    Scores are better the higher they are: the cosine, the inner product, or minus the squared Euclidean distance.
    """

    encoder: Encoder = Field(description="The model that turns passages and queries into vectors.")
    factory: str = Field("Flat", min_length=1, description="A faiss.index_factory string; Flat is exact.")
    metric: Metric = Field(
        "cosine",
        description="How vectors are compared; cosine scales passages and queries to length 1, the others scale "
        "nothing; the score of l2 is minus the squared distance.",
    )
    train_on: int | None = Field(
        None, ge=1, description="Passages, drawn at random, that a factory is trained on; null: as many as it needs."
    )
    search: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="FAISS's search parameters for the factory, such as nprobe or efSearch."
    )
    device: Device = Field("auto", description="Where FAISS or torch searches; auto takes a GPU that one of them has.")
    precision: Precision = Field("float32", description="How a GPU keeps the vectors of the passages.")

    def built_with(self) -> dict[str, Any]:
        """Return what the files depend on: what the manifest has to record."""
        return {
            "encoder": self.encoder.describe(),
            "factory": self.factory,
            "metric": self.metric,
            "train_on": self.train_on,
        }

    def searched_with(self) -> dict[str, Any]:
        """Return what rankings depend on beside the files: what the index's fingerprint has to hold."""
        return {
            "encoder": self.encoder.fingerprint(),
            "search": self.search,
            "device": resolve_device(self.device),
            "precision": self.precision,
        }

    async def query(self, text: str) -> NDArray[np.float32]:
        """Return the vector that is compared with those of passages."""
        return await self.encoder.embed(text)
