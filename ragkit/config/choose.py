"""A name to the class that it stands for."""

from typing import TYPE_CHECKING, Any

from ragkit.config.messages import show
from ragkit.config.problems import Path
from ragkit.engine.registry import Registry
from ragkit.errors import did_you_mean

if TYPE_CHECKING:
    from ragkit.config.build import Builder


def choose(builder: "Builder", known: Registry, values: dict[str, Any], key: str, path: Path, where: str) -> Any:
    """Return the class that a `provider`, `type` or the like names, or complain and return None."""
    name = values.get(key)
    choices = ", ".join(known)
    if name is None:
        builder.complain(path, f"missing key '{key}' (choose one of: {choices})", where, at_key=True)
    elif not isinstance(name, str) or name not in known:
        hint = did_you_mean(name, known) if isinstance(name, str) else ""
        builder.complain((*path, key), f"unknown {key} {show(name)}{hint} (choose one of: {choices})", where)
    else:
        return known[name]
    return None
