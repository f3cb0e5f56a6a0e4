"""The four control nodes: loop, branch, each and parallel."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from ragkit.engine.conditions import Condition
from ragkit.engine.nodes import (
    Complain,
    Known,
    Node,
    StageError,
    Step,
    Steps,
    check_sequence,
    lacks,
    run_sequence,
    written_by,
)
from ragkit.engine.stage import Stage
from ragkit.engine.state import LIST_FIELDS, Passage, State
from ragkit.engine.trace import Trace
from ragkit.errors import BudgetExceededError


class Loop(Node):
    """Run `do` again and again until the condition holds, at most `max` times."""

    control: ClassVar[str] = "loop"
    do: Steps = Field(min_length=1, description="the steps of one round")
    until: Condition | None = Field(None, description="leave the loop when this holds after a round")
    max: int = Field(ge=1, description="the most rounds")

    async def run(self, state: State, trace: Trace, scope: str = "") -> None:
        for turn in range(1, self.max + 1):
            await run_sequence(self.do, state, trace, f"{scope}loop[{turn}]/")
            if self.until is not None and _holds(self.until, state, f"{scope}loop"):
                return

    def check(self, known: Known, complain: Complain) -> Known:
        known = check_sequence(self.do, known, complain)
        _check_condition(self, self.until, known, complain)
        return known

    def written(self) -> Known:
        return written_by(self.do)


class Branch(Node):
    """Run `then` if the condition holds, otherwise `else` (nothing, if it is not given)."""

    control: ClassVar[str] = "branch"
    on: Condition = Field(description="the condition")
    then: Steps = Field(min_length=1, description="the steps if it holds")
    otherwise: Steps = Field((), alias="else", description="the steps if it does not")

    async def run(self, state: State, trace: Trace, scope: str = "") -> None:
        holds = _holds(self.on, state, f"{scope}branch")
        nodes = self.then if holds else self.otherwise
        await run_sequence(nodes, state, trace, f"{scope}{'then' if holds else 'else'}/")

    def check(self, known: Known, complain: Complain) -> Known:
        _check_condition(self, self.on, known, complain)
        return check_sequence(self.then, known, complain) & check_sequence(self.otherwise, known, complain)

    def written(self) -> Known:
        return written_by(self.then) | written_by(self.otherwise)


class Each(Node):
    """Run `do` once for each item of a list field, side by side, and gather what the runs wrote, in order.

    Inside, the field holds one item. Afterwards it has its old value; other list fields that were written hold the
    runs' values one after the other (passages once, with the hits of all runs), and a variable holds a list with the
    value of each run.
    """

    control: ClassVar[str] = "each"
    over: str = Field(description="the list field or vars.<name> whose items are taken one by one")
    do: Steps = Field(min_length=1, description="the steps for one item")

    async def run(self, state: State, trace: Trace, scope: str = "") -> None:
        items = state.get(self.over)
        if not isinstance(items, tuple):
            raise StageError(f"{scope}each", TypeError(f"'{self.over}' is no list but {type(items).__name__}"))
        states = [state.copy() for _ in items]
        for own, item in zip(states, items, strict=True):
            own.set(self.over, (item,))
        results = await asyncio.gather(
            *(run_sequence(self.do, own, trace, f"{scope}each[{n}]/") for n, own in enumerate(states, 1)),
            return_exceptions=True,
        )
        for name in sorted(self.written() - {self.over}):
            values = [own.get(name) for own in states]
            state.set(name, concatenate(values) if name in LIST_FIELDS else values)
        _raise_first(results)

    def check(self, known: Known, complain: Complain) -> Known:
        if self.over not in LIST_FIELDS and not self.over.startswith("vars."):
            complain(self, f"'over: {self.over}' is no list; choose {', '.join(sorted(LIST_FIELDS))} or vars.<name>")
        elif lacks(known, self.over):
            complain(self, f"it goes over '{self.over}', but no step before it writes that in every case")
        if self.over in self.written():
            complain(
                self,
                f"the steps inside write '{self.over}', which gets its old value back; write vars.<name>",
            )
        if "answer" in self.written():
            complain(self, "the steps inside write 'answer', of which a question has only one; write vars.<name>")
        check_sequence(self.do, known, complain)
        return known | self.written()

    def written(self) -> Known:
        return written_by(self.do)


class Parallel(Node):
    """Run named branches side by side on copies of the state and merge what they wrote.

    A field that only one branch writes is taken from it. For a field that several write, `merge` says how: `union`
    puts lists one after the other (passages once, with all hits), the name of a branch takes that branch's value.
    """

    control: ClassVar[str] = "parallel"
    branches: dict[str, Steps] = Field(min_length=1, description="branch name to steps")
    merge: dict[str, str] = Field({}, description="field to 'union' or the name of the branch whose value is taken")

    async def run(self, state: State, trace: Trace, scope: str = "") -> None:
        states = {name: state.copy() for name in self.branches}
        results = await asyncio.gather(
            *(run_sequence(do, states[name], trace, f"{scope}{name}/") for name, do in self.branches.items()),
            return_exceptions=True,
        )
        for field in sorted(self.written()):
            writers = self._writers(field)
            how = self.merge.get(field, writers[0])
            state.set(
                field,
                concatenate([states[name].get(field) for name in writers])
                if how == "union"
                else states[how].get(field),
            )
        _raise_first(results)

    def _writers(self, field: str) -> list[str]:
        return [name for name, do in self.branches.items() if field in written_by(do)]

    def check(self, known: Known, complain: Complain) -> Known:
        for field in sorted(self.written() - self.merge.keys()):
            writers = self._writers(field)
            if len(writers) > 1:
                complain(self, f"'{field}' is written by {' and '.join(writers)}; say in 'merge' how to join it")
        for field, how in self.merge.items():
            if field not in self.written():
                complain(self, f"'merge' names '{field}', which no branch writes")
            elif how != "union" and how not in self._writers(field):
                choices = ", ".join(["union", *self._writers(field)])
                complain(self, f"'merge: {{{field}: {how}}}' is not possible; choose one of {choices}")
            elif how == "union" and field not in LIST_FIELDS:
                complain(self, f"'{field}' is no list, so it has no union; name the branch whose value is taken")
        return known.union(*(check_sequence(do, known, complain) for do in self.branches.values()))

    def written(self) -> Known:
        return frozenset().union(*(written_by(do) for do in self.branches.values()))


_SEQUENCES = ("do", "then", "otherwise")

CONTROLS: dict[str, type[Loop | Branch | Each | Parallel]] = {
    node.control: node for node in (Loop, Branch, Each, Parallel)
}


def with_unique_ids(nodes: Iterable[Node], seen: dict[str, int] | None = None) -> tuple[Node, ...]:
    """Return the nodes with step ids that occur once: the second `answer.read` becomes `answer.read#2`."""
    seen = {} if seen is None else seen
    result: list[Node] = []
    for node in nodes:
        if isinstance(node, Step):
            base = node.id.partition("#")[0]
            seen[base] = seen.get(base, 0) + 1
            unique = base if seen[base] == 1 else f"{base}#{seen[base]}"
            result.append(node if unique == node.id else node.model_copy(update={"id": unique}))
        elif isinstance(node, Parallel):
            branches = {name: with_unique_ids(do, seen) for name, do in node.branches.items()}
            result.append(node.model_copy(update={"branches": branches}))
        else:
            inner = {
                key: with_unique_ids(getattr(node, key), seen) for key in _SEQUENCES if key in node.model_fields_set
            }
            result.append(node.model_copy(update=inner))
    return tuple(result)


def steps_of(nodes: Iterable[Node]) -> Iterator[Step]:
    """Yield every step of nodes, those inside control nodes too, in the order of the file."""
    for node in nodes:
        if isinstance(node, Step):
            yield node
        elif isinstance(node, Parallel):
            for do in node.branches.values():
                yield from steps_of(do)
        else:
            for key in _SEQUENCES:
                yield from steps_of(getattr(node, key, ()))


def replace_stages(nodes: Iterable[Node], stages: Mapping[str, Stage]) -> tuple[Node, ...]:
    """Return nodes with other stages in some steps, however deep they are.

    Args:
        nodes: as they are.
        stages: the new stages by the ids of their steps.
    """
    return tuple(_with_stages(node, stages) for node in nodes)


def _with_stages(node: Node, stages: Mapping[str, Stage]) -> Node:
    if isinstance(node, Step):
        return node.model_copy(update={"stage": stages[node.id]}) if node.id in stages else node

    def inside(value: Any) -> Any:
        if isinstance(value, tuple) and value and isinstance(value[0], Node):
            return replace_stages(value, stages)
        return {key: inside(item) for key, item in value.items()} if isinstance(value, dict) else value

    return node.model_copy(update={name: inside(getattr(node, name)) for name in type(node).model_fields})


def _holds(condition: Condition, state: State, place: str) -> bool:
    try:
        return condition.holds(state)
    except TypeError as error:
        raise StageError(place, error) from error


def concatenate(values: Sequence[Any]) -> tuple[Any, ...]:
    """Return lists one after the other, each item once; a passage found several times keeps all its hits."""
    joined: dict[Any, Any] = {}
    for item in (item for value in values for item in value or ()):
        key = item.id if isinstance(item, Passage) else repr(item)
        if key not in joined:
            joined[key] = item
        elif isinstance(item, Passage):
            hits = joined[key].hits + tuple(hit for hit in item.hits if hit not in joined[key].hits)
            joined[key] = joined[key].model_copy(update={"hits": hits})
    return tuple(joined.values())


def _check_condition(node: Node, condition: Condition | None, known: Known, complain: Complain) -> None:
    for name in condition.reads if condition else ():
        if lacks(known, name):
            complain(node, f"its condition reads '{name}', but no step before it writes that in every case")


def _raise_first(results: Sequence[BaseException | None]) -> None:
    """Raise the first failure of side-by-side runs, a stage's failure before a used-up budget."""
    failures = [result for result in results if result is not None]
    failures.sort(key=lambda failure: isinstance(failure, BudgetExceededError))
    if failures:
        raise failures[0]
