"""Memory that questions share, with a rule that keeps results independent of timing.

Questions run in waves. A wave sees the memory as it was when the wave began; what its questions write is merged in
question order when it ends. A wave of one question is the strictly sequential mode of the papers.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from pydantic import PrivateAttr

from ragkit.engine.calls import QUESTION
from ragkit.engine.component import Component


class Memory(Component):
    """Base of memories that stages hold as a field; the engine finds them there and runs the pipeline in waves."""

    _pending: dict[int, list[Any]] = PrivateAttr(default_factory=dict)

    @property
    def outlives_runs(self) -> bool:
        """Whether what is written is there in the next run, so that a run that goes on need not fill it again."""
        return False

    @abstractmethod
    def merge(self, items: Sequence[Any]) -> None:
        """Take what a wave wrote, in question order, into the memory that the next wave sees."""

    @abstractmethod
    def reset(self) -> None:
        """Forget what earlier runs wrote, unless the memory outlives them."""

    def begin_run(self) -> None:
        """Start anew: what a run that failed had handed in and not merged is dropped; called by the engine."""
        self._pending.clear()
        self.reset()

    def write(self, item: Any) -> None:
        """Hand in an item of the current question; it becomes visible when the wave ends."""
        question = QUESTION.get()
        self._pending.setdefault(question.order if question else 0, []).append(item)
        if question is None:
            self.end_wave()

    def end_wave(self) -> None:
        """Merge what was written since the wave began; called by the engine."""
        items = [item for order in sorted(self._pending) for item in self._pending[order]]
        self._pending.clear()
        if items:
            self.merge(items)
