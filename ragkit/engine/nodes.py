"""What a pipeline is made of: nodes; the plainest is a step, which is a stage at its place."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator

from ragkit.engine.calls import QUESTION, STAGE
from ragkit.engine.component import Component
from ragkit.engine.stage import Stage, normalise_writes
from ragkit.engine.state import State
from ragkit.engine.trace import Event, Trace
from ragkit.errors import BudgetExceededError, RagkitError

Known = frozenset[str]
ANYTHING = "*"
"""Among known fields: any field may have been written, because a step before could not be read."""


def lacks(known: Known, name: str) -> bool:
    """Say whether a field may not have been written."""
    return name not in known and ANYTHING not in known


Complain = Callable[["Node", str], None]
"""Told of a node that cannot work where it stands, and why."""


class StageError(RagkitError):
    """A stage failed for a question; the cause is the exception that it raised."""

    def __init__(self, stage: str, cause: Exception) -> None:
        super().__init__(f"{stage}: {type(cause).__name__}: {cause}")
        self.stage = stage
        self.cause = cause


class Node(Component):
    """A part of a pipeline that takes a state further."""

    @abstractmethod
    async def run(self, state: State, trace: Trace, scope: str = "") -> None:
        """Take one question's state further, in place; `scope` is the path of the enclosing nodes."""

    @abstractmethod
    def check(self, known: Known, complain: Complain) -> Known:
        """Return the fields that are surely written after this node, given those before; complain about misfits."""

    @abstractmethod
    def written(self) -> Known:
        """Return all fields that the node may write."""


class Step(Node):
    """A stage at its place in a pipeline, under an id that is unique there."""

    stage: Stage
    id: str

    async def run(self, state: State, trace: Trace, scope: str = "") -> None:
        stage, path = self.stage, scope + self.id
        values = state.read(stage.reads)
        STAGE.set(path)
        start = time.perf_counter()
        try:
            written = normalise_writes(stage, await stage.run(**values))
        except BudgetExceededError as error:
            trace.events.append(Event(path, start, time.perf_counter() - start, {}, str(error)))
            raise
        except Exception as error:
            trace.events.append(Event(path, start, time.perf_counter() - start, {}, f"{type(error).__name__}: {error}"))
            raise StageError(path, error) from error
        for name, value in written.items():
            state.set(name, value)
        trace.events.append(Event(path, start, time.perf_counter() - start, written))
        question = QUESTION.get()
        if question is not None and question.refused is not None:
            raise question.refused  # the stage made do with less than it asked for; the question ends all the same

    def check(self, known: Known, complain: Complain) -> Known:
        for name, needed in self.stage.reads.items():
            if needed and lacks(known, name):
                complain(self, f"it reads '{name}', but no step before it writes that in every case")
        return known | set(self.stage.writes)

    def written(self) -> Known:
        return frozenset(self.stage.writes)


def as_node(step: Stage | Node) -> Node:
    """Return a step for a bare stage."""
    return Step(stage=step, id=step.name) if isinstance(step, Stage) else step


def _as_nodes(steps: Any) -> Any:
    return tuple(as_node(step) for step in steps) if isinstance(steps, (list, tuple)) else steps


Steps = Annotated[tuple[Node, ...], BeforeValidator(_as_nodes)]


async def run_sequence(nodes: Iterable[Node], state: State, trace: Trace, scope: str = "") -> None:
    """Take a state through nodes one after the other."""
    for node in nodes:
        await node.run(state, trace, scope)


def check_sequence(nodes: Iterable[Node], known: Known, complain: Complain) -> Known:
    """Return the fields surely written after the nodes, given those before."""
    for node in nodes:
        known = node.check(known, complain)
    return known


def written_by(nodes: Iterable[Node]) -> Known:
    """Return all fields that the nodes may write."""
    return frozenset().union(*(node.written() for node in nodes))
