"""What models whose weights are loaded into this process have in common."""

from pydantic import Field

from ragkit.engine.calls import LocalResource
from ragkit.models.devices import DEVICE_PATTERN, Dtype, resolve_device, resolve_dtype


class LocalWeights(LocalResource):
    """A model of a folder or a hub, on a device of this machine, in a number format.

    Attributes:
        model: `embedded:<name>`, a local folder or a hub id.
        revision: commit, branch or tag of a hub model.
        device: `auto` takes a GPU if there is one.
        dtype: `auto` is bfloat16 where the hardware multiplies in it, else float32.
    """

    model: str
    revision: str | None = None
    device: str = Field(default="auto", pattern=DEVICE_PATTERN)
    dtype: Dtype = "auto"

    @property
    def resolved_device(self) -> str:
        """The device that is used: what `auto` stands for on this machine."""
        return resolve_device(self.device)

    @property
    def resolved_dtype(self) -> str:
        """The number format that is used: what `auto` stands for on this device."""
        return resolve_dtype(self.dtype, self.resolved_device)
