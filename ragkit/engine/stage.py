"""A stage: one step of a pipeline, written for one question."""

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, ClassVar, TypeVar, overload

from ragkit.engine import registry
from ragkit.engine.component import Component
from ragkit.engine.state import LIST_FIELDS, STATE_FIELDS, Passage
from ragkit.errors import RagkitError


class Stage(Component):
    """Base of all stages. The signature of `run` is the contract.

    The parameters of `run` name what the stage reads: state fields (`question`, `queries`, `documents`, ...) or, under
    any other name, a variable (`external` reads `vars.external`). A parameter with a default is read if it is there.
    What `run` returns is what the stage writes, as declared by the decorator: the one value, or a mapping with exactly
    the declared fields. A stage keeps nothing about a question and reaches models and indexes through their methods.

    Example:
        >>> @stage("filter.long", writes="documents")
        ... class LongOnly(Stage):
        ...     characters: int = 200
        ...
        ...     async def run(self, documents: Documents) -> Documents:
        ...         return tuple(d for d in documents if len(d.page_content) >= self.characters)
    """

    name: ClassVar[str]
    reads: ClassVar[dict[str, bool]]  # state field or vars.<name> -> whether the stage cannot do without it
    writes: ClassVar[tuple[str, ...]]
    run: ClassVar[Callable[..., Coroutine[Any, Any, Any]]]


_OF_PASSAGES = ("documents", "vars.context")

S = TypeVar("S", bound=type[Stage])
AsyncFunction = Callable[..., Awaitable[Any]]


class _Decorator:
    def __init__(self, name: str, writes: str | Sequence[str]) -> None:
        self.name = name
        self.writes = (writes,) if isinstance(writes, str) else tuple(writes)

    @overload
    def __call__(self, body: S) -> S: ...
    @overload
    def __call__(self, body: AsyncFunction) -> type[Stage]: ...
    def __call__(self, body: Any) -> Any:
        cls = body if inspect.isclass(body) else _wrap(body)
        if not (inspect.isclass(cls) and issubclass(cls, Stage)):
            raise RagkitError(f"stage '{self.name}': a stage is a subclass of Stage or an async function")
        run = getattr(cls, "run", None)
        if not inspect.iscoroutinefunction(run):
            raise RagkitError(f"stage '{self.name}': `run` must be an `async def`")
        for field in self.writes:
            if field not in STATE_FIELDS[2:] and not field.startswith("vars."):
                choices = ", ".join(STATE_FIELDS[2:])
                raise RagkitError(f"stage '{self.name}' cannot write '{field}': choose {choices} or vars.<name>")
        cls.name, cls.writes, cls.reads = self.name, self.writes, _reads(run)
        return registry.stages.register(self.name)(cls)


def stage(name: str, *, writes: str | Sequence[str]) -> _Decorator:
    """Declare a stage: its name in YAML (`family.method`) and the fields that it writes.

    Works on a subclass of `Stage` and on a plain async function (which then has no settings).

    Raises:
        RagkitError: `run` is missing or not async, or a field cannot be written.
    """
    return _Decorator(name, writes)


def normalise_writes(stage: Stage, value: Any) -> dict[str, Any]:
    """Return what a stage wrote as a mapping of its declared fields.

    Raises:
        RagkitError: the stage returned something else than it declares.
    """
    if len(stage.writes) == 1:
        written = {stage.writes[0]: value}
    elif isinstance(value, dict) and value.keys() == set(stage.writes):
        written = value
    else:
        got = f"the keys {sorted(value)}" if isinstance(value, dict) else f"a {type(value).__name__}"
        raise RagkitError(f"it declares that it writes {', '.join(stage.writes)} but returned {got}")
    for field, item in written.items():
        if (field in LIST_FIELDS or field in _OF_PASSAGES) and not isinstance(item, (list, tuple)):
            raise RagkitError(f"'{field}' must be a list or a tuple, not {type(item).__name__}")
        if field in _OF_PASSAGES and not all(isinstance(passage, Passage) for passage in item):
            raise RagkitError(f"'{field}' must hold ragkit.Passage objects (a langchain Document with an id and hits)")
        if field == "answer" and not (item is None or isinstance(item, str)):
            raise RagkitError(f"'answer' must be a string or None, not {type(item).__name__}")
    return written


def _reads(run: Callable[..., Any]) -> dict[str, bool]:
    parameters = [p for p in inspect.signature(run).parameters.values() if p.name != "self"]
    return {
        p.name if p.name in STATE_FIELDS else f"vars.{p.name}": p.default is inspect.Parameter.empty for p in parameters
    }


def _wrap(function: AsyncFunction) -> type[Stage]:
    """Make a stage without settings of an async function."""
    body = {"run": staticmethod(function), "__doc__": function.__doc__, "__module__": function.__module__}
    return type(function.__name__, (Stage,), body)
