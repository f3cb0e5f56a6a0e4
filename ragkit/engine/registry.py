"""Names to classes. ragkit's own parts and third-party plugins are found the same way: through entry points."""

from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any, TypeVar

from ragkit.errors import InputError, did_you_mean

T = TypeVar("T")

_PLURALS = {"index": "indexes", "memory": "memories"}


class Registry:
    """The known parts of one kind (stages, models, metrics, training objectives ...), by name.

    The entry-point group `ragkit.<kind>s` is imported at the first look-up; importing a plugin registers its parts.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._parts: dict[str, Any] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that files a part under a name.

        Raises:
            InputError: another part has this name already.
        """

        def add(part: T) -> T:
            known = self._parts.get(name)
            if known is not None and (known.__module__, known.__qualname__) != (part.__module__, part.__qualname__):  # type: ignore[attr-defined]
                raise InputError(f"two {self.kind}s are called '{name}': {known.__module__} and {part.__module__}")
            self._parts[name] = part
            return part

        return add

    def __getitem__(self, name: str) -> Any:
        self._discover()
        try:
            return self._parts[name]
        except KeyError:
            raise InputError(f"unknown {self.kind} '{name}'{did_you_mean(name, self._parts)}") from None

    def __contains__(self, name: object) -> bool:
        self._discover()
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(sorted(self._parts))

    def _discover(self) -> None:
        if not self._discovered:
            self._discovered = True
            for entry in entry_points(group=f"ragkit.{_PLURALS.get(self.kind, self.kind + 's')}"):
                entry.load()


stages = Registry("stage")
models = Registry("model")
indexes = Registry("index")
memories = Registry("memory")
metrics = Registry("metric")
judges = Registry("judge")
builders = Registry("builder")
selectors = Registry("selector")
objectives = Registry("objective")
rewards = Registry("reward")
