"""Memory that questions share, with a rule that keeps results independent of timing.

Questions run in waves. A wave sees the memory as it was when the wave began; what its questions write is merged in
question order when it ends. A wave of one question is the strictly sequential mode of the papers.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from pydantic import PrivateAttr

from ragkit.engine.calls import CALLER, QUESTION, Caller
from ragkit.engine.component import Component


class Memory(Component):
    """Base of memories that stages hold as a field; the engine finds them there and runs the pipeline in waves."""

    # By run, because one process may have several under way, and by question.
    _pending: WeakKeyDictionary[Caller, dict[int, list[Any]]] = PrivateAttr(default_factory=WeakKeyDictionary)

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
        """Start anew; called by the engine."""
        self.reset()

    def write(self, item: Any) -> None:
        """Hand in an item of the current question; it becomes visible when the wave ends."""
        caller, question = CALLER.get(), QUESTION.get()
        if caller is None or question is None:
            self.merge([item])
        else:
            self._pending.setdefault(caller, {}).setdefault(question.order, []).append(item)

    def end_wave(self) -> None:
        """Merge what was written since the wave began; called by the engine."""
        caller = CALLER.get()
        pending = {} if caller is None else self._pending.pop(caller, {})
        items = [item for order in sorted(pending) for item in pending[order]]
        if items:
            self.merge(items)
