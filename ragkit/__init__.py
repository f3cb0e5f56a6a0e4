"""ragkit: declare a RAG pipeline, run it over thousands of questions, know where every answer was won or lost."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ragkit.engine.controls import Branch, Each, Loop, Parallel
    from ragkit.engine.stage import Stage, stage
    from ragkit.engine.state import Citation, Documents, Hit, Passage
    from ragkit.pipeline import Pipeline

__all__ = [
    "Branch",
    "Citation",
    "Documents",
    "Each",
    "Hit",
    "Loop",
    "Parallel",
    "Passage",
    "Pipeline",
    "Stage",
    "stage",
]

_HOMES = {
    "ragkit.engine.controls": ("Branch", "Each", "Loop", "Parallel"),
    "ragkit.engine.stage": ("Stage", "stage"),
    "ragkit.engine.state": ("Citation", "Documents", "Hit", "Passage"),
    "ragkit.pipeline": ("Pipeline",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import ragkit` costs nothing."""
    import importlib

    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'ragkit' has no attribute '{name}'")
