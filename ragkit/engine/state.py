"""One question on its way through a pipeline."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

from langchain_core.documents import Document
from pydantic import ConfigDict


class Hit(NamedTuple):
    """How a passage was found: by which stage, for which query, at which rank (from 1), with which score."""

    stage: str
    query: str
    rank: int
    score: float


class Passage(Document):
    """A langchain `Document` that keeps its id, score and origin from the index to the citation.

    `metadata` holds what the loader knew: `source` (file name, or the row's collection), `document` (id of the
    document it was cut from), and for paged files `page` (counted from 1) and `box` (x0, y0, x1, y1 in points).
    """

    model_config = ConfigDict(frozen=True)

    id: str
    score: float | None = None
    hits: tuple[Hit, ...] = ()

    @property
    def place(self) -> str:
        """Where a reader finds this passage: `soil.pdf, page 3`, or the document's id."""
        source = self.metadata.get("source") or self.metadata.get("document") or self.id
        page = self.metadata.get("page")
        return f"{source}, page {page}" if page else str(source)


Documents = tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class Citation:
    """A pointer from an answer to the passage that supports it.

    Attributes:
        box: of what is cited, in points on its page.
        object: id of the table or figure on the page, if it is one.
    """

    passage: str
    source: str
    page: int | None = None
    box: tuple[float, float, float, float] | None = None
    object: str | None = None


@dataclass(slots=True)
class State:
    """The fields that stages read and write. Gold answers are never in here.

    `queries` starts as the question alone; rewriters replace it. `vars` holds what a method hands on under a name of
    its own. The engine owns the object: a stage sees the values that its `run` names, never the state itself.
    """

    id: str
    question: str
    queries: tuple[str, ...] = ()
    documents: Documents = ()
    answer: str | None = None
    citations: tuple[Citation, ...] = ()
    media: tuple[Any, ...] = ()
    vars: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.queries:
            self.queries = (self.question,)

    def get(self, name: str) -> Any:
        """Return a field by its name, or a variable by `vars.<name>`; None for a variable nobody wrote."""
        return self.vars.get(name[5:]) if name.startswith("vars.") else getattr(self, name)

    def set(self, name: str, value: Any) -> None:
        """Write a field or a variable; lists become tuples, so that branches cannot change each other's values."""
        if isinstance(value, list):
            value = tuple(value)
        if name.startswith("vars."):
            self.vars[name[5:]] = value
        else:
            setattr(self, name, value)

    def read(self, fields: Mapping[str, bool]) -> dict[str, Any]:
        """Return fields and variables under the names of a stage's parameters; what it can do without, if written."""
        values: dict[str, Any] = {}
        for name, needed in fields.items():
            if name[:5] != "vars.":
                values[name] = getattr(self, name)
            elif needed or name[5:] in self.vars:
                values[name[5:]] = self.vars.get(name[5:])
        return values

    def copy(self) -> "State":
        """Return an independent state for a branch."""
        return replace(self, vars={name: _own(value) for name, value in self.vars.items()})


def _own(value: Any) -> Any:
    """Copy what a stage could change in place; passages and texts are frozen."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(_own(item) for item in value)
    return set(value) if isinstance(value, set) else value


STATE_FIELDS = tuple(f.name for f in fields(State))
INITIAL_FIELDS = frozenset({"id", "question", "queries"})
LIST_FIELDS = frozenset({"queries", "documents", "citations", "media"})
