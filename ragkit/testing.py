"""For authors of stages: does a stage behave as the engine expects?"""

import asyncio
import inspect
from collections.abc import Mapping
from typing import Any

from ragkit.engine import registry
from ragkit.engine.nodes import Node, Step
from ragkit.engine.run import run_questions
from ragkit.engine.stage import Stage, normalise_writes
from ragkit.engine.state import LIST_FIELDS, Passage, State

_EXAMPLES: dict[str, Any] = {
    "id": "question-1",
    "question": "How deep do the roots of wheat grow?",
    "queries": ("root depth of wheat",),
    "documents": (
        Passage(
            id="guide.pdf#p1.c0", page_content="Wheat roots reach 1.5 m.", metadata={"source": "guide.pdf", "page": 1}
        ),
        Passage(
            id="guide.pdf#p2.c0", page_content="Potato roots are shallow.", metadata={"source": "guide.pdf", "page": 2}
        ),
    ),
    "answer": "1.5 m",
    "citations": (),
    "media": (),
}


def check_stage(stage: Stage, **values: Any) -> None:
    """Check that a stage keeps its contract; give it scripted models.

    It must be registered under its name, be documented, write exactly what it declares, do so for empty lists too,
    give the same result twice, and give inside a run what it gives when called by hand.

    Args:
        stage: the stage, ready to run.
        values: what its `run` is given; fields of the state that are not given get examples.

    Raises:
        AssertionError: with what is wrong.
    """
    _expect(registry.stages[stage.name] is type(stage), f"'{stage.name}' is registered for another class")
    _expect(bool(inspect.getdoc(type(stage))), f"{type(stage).__name__} has no docstring")
    _expect(stage.name.count(".") == 1, f"'{stage.name}' should be named family.method")
    given = _inputs(stage, values)
    first, second = _call(stage, given), _call(stage, given)
    _expect(first == second, f"it wrote {first} the first time and {second} the second time")
    empty = {name: () if name in LIST_FIELDS and name not in values else value for name, value in given.items()}
    _call(stage, empty)
    inside = _inside_a_run(stage, given)
    _expect(inside == first, f"inside a run it wrote {inside}, called by hand {first}")


def _inputs(stage: Stage, values: Mapping[str, Any]) -> dict[str, Any]:
    given = {}
    for field, needed in stage.reads.items():
        name = field.removeprefix("vars.")
        if name in values:
            given[name] = values[name]
        elif field in _EXAMPLES:
            given[name] = _EXAMPLES[field]
        else:
            _expect(not needed, f"it reads '{field}'; give check_stage a value: check_stage(stage, {name}=...)")
    return given


def _call(stage: Stage, given: Mapping[str, Any]) -> dict[str, Any]:
    return normalise_writes(stage, asyncio.run(stage.run(**given)))


def _inside_a_run(stage: Stage, given: Mapping[str, Any]) -> dict[str, Any]:
    class Prepare(Node):
        async def run(self, state: State, trace: Any, scope: str = "") -> None:
            for field in stage.reads:
                name = field.removeprefix("vars.")
                if name in given:
                    state.set(field, given[name])

        def check(self, known: Any, complain: Any) -> Any:
            return known

        def written(self) -> Any:
            return frozenset()

    (prediction,) = run_questions(
        [Prepare(), Step(stage=stage, id=stage.name)], [("question-1", _EXAMPLES["question"])]
    )
    _expect(prediction.error is None, f"inside a run it failed: {prediction.error}")
    events = prediction.trace.events if prediction.trace else []
    return dict(events[-1].wrote)


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)
