"""AdamW for adapters in half precision."""

from collections.abc import Callable, Iterable
from typing import Any

import torch


class MasterWeightsAdamW(torch.optim.AdamW):
    """AdamW whose steps and moments are in float32, for parameters that are in half precision.

    Each parameter has a float32 copy that is stepped and then rounded into it (Micikevicius et al. 2018, "Mixed
    Precision Training", section 3.1): bfloat16 alone would round small steps away, and adapters in float32 beside
    bfloat16 weights take a quarter longer on a CPU.
    """

    def __init__(self, params: Iterable[torch.nn.Parameter], **settings: Any) -> None:
        self._halves = [param for param in params if param.requires_grad]
        super().__init__([half.detach().float().clone() for half in self._halves], **settings)

    @property
    def _masters(self) -> list[torch.Tensor]:
        return [master for group in self.param_groups for master in group["params"]]

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        for half, master in zip(self._halves, self._masters, strict=True):
            master.grad = None if half.grad is None else half.grad.float()
        loss: float | None = super().step(closure)
        for half, master in zip(self._halves, self._masters, strict=True):
            half.data.copy_(master)
            master.grad = None
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        for half in self._halves:
            if set_to_none:
                half.grad = None
            elif half.grad is not None:
                half.grad.zero_()

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = super().state_dict()
        return state | {"masters": [master.detach() for master in self._masters]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "masters"})
        for master, kept in zip(self._masters, state_dict["masters"], strict=True):
            master.copy_(kept)
        self.attach(self._halves)

    def attach(self, params: Iterable[torch.nn.Parameter]) -> None:
        """Give the parameters the values and number format that this optimiser knows for them, and step them from now.

        PEFT replaces the parameters of an adapter by new ones, in float32, when it reads a checkpoint.
        """
        formats = [half.dtype for half in self._halves]
        self._halves = list(params)
        for half, master, dtype in zip(self._halves, self._masters, formats, strict=True):
            half.data = master.to(dtype)
