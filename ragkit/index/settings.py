"""The settings of an index, as the YAML spells them."""

from typing import Annotated, Literal

from pydantic import Field

from ragkit.engine.component import Component

FusionMethod = Literal["reciprocal_rank", "weighted_sum"]
Normalisation = Literal["min_max", "z_score", "none"]


class FusionSettings(Component):
    """How the rankings of several parts, or of several queries, become one; see `ragkit.index.fusion`.

    The rankings of several queries are always fused by reciprocal rank.
    """

    method: FusionMethod = Field("reciprocal_rank", description="Fuse by ranks, or by a weighted sum of scores.")
    k: int = Field(10, ge=0, description="The constant added to ranks; the higher, the less the first ranks weigh.")
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default_factory=dict, description="How much each part counts, by its name; 1 if it is not named."
    )
    normalisation: Normalisation = Field(
        "min_max", description="What scores become before they are summed; none takes them as they are."
    )
