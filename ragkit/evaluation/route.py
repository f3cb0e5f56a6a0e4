"""The places of a pipeline at which gold evidence is looked for: its steps that write `documents`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from ragkit.engine.controls import Branch, Each, Loop, Parallel
from ragkit.engine.nodes import Node, Step
from ragkit.evaluation.traveller import Held, Source, Traveller

Kind = Literal["corpus", "index", "retrieve", "keep", "prompt", "cited", "answered"]
"""Kinds of places; see `FunnelStage`."""


@dataclass(frozen=True, slots=True)
class Point:
    """A step that writes `documents`, and what stood before it."""

    path: str
    kind: Kind
    reason: str
    before: Source


def points_of(nodes: Sequence[Node], scope: str, before: Source) -> tuple[list[Point], Source]:
    """Return the steps that write `documents`, in the order of the pipeline, and what stands after the nodes."""
    points: list[Point] = []
    for node in nodes:
        if isinstance(node, Step):
            if "documents" in node.stage.writes:
                points.append(_point(node, scope, before))
                before = after_step(scope + node.id, before)
        elif isinstance(node, (Loop, Each)):
            inner, before = points_of(node.do, f"{scope}{node.control}/", before)
            points += inner
        else:
            inner, before = _alternatives(node, scope, before)
            points += inner
    return points, before


def _point(step: Step, scope: str, before: Source) -> Point:
    k = getattr(step.stage, "k", None)
    if "documents" not in step.stage.reads:
        return Point(scope + step.id, "retrieve", f"rank beyond {k}" if k else "not retrieved", before)
    ranks = step.stage.name.startswith("rerank.")
    return Point(scope + step.id, "keep", f"ranked below {k}" if ranks and k else "dropped", before)


def after_step(path: str, before: Source) -> Source:
    """Return what a question has after a step; if the step did not run, what it had before."""
    return lambda traveller: traveller.after[path] if path in traveller.after else before(traveller)


def _alternatives(node: Node, scope: str, before: Source) -> tuple[list[Point], Source]:
    """Return the points of a branch (of whose sides one runs) or of parallel branches (which are merged)."""
    if isinstance(node, Branch):
        sides = [points_of(node.then, f"{scope}then/", before), points_of(node.otherwise, f"{scope}else/", before)]
    elif isinstance(node, Parallel):
        chosen = node.merge.get("documents", "union")
        branches = {name: points_of(do, f"{scope}{name}/", before) for name, do in node.branches.items()}
        sides = list(branches.values()) if chosen == "union" else [branches[chosen]]
    else:
        return [], before
    ran = [(frozenset(point.path for point in points), after) for points, after in sides]
    loops = _outer_loops(scope)

    def last_round(traveller: Traveller, paths: frozenset[str]) -> tuple[int, ...]:
        return max(traveller.rounds[path][:loops] for path in paths & traveller.rounds.keys())

    def after_all(traveller: Traveller) -> Held:
        took = [(paths, after) for paths, after in ran if not paths.isdisjoint(traveller.after)]
        if not took:
            return before(traveller)
        # In a loop, another side may have run in an earlier round.
        latest = max(last_round(traveller, paths) for paths, _ in took)
        return frozenset().union(*(after(traveller) for paths, after in took if last_round(traveller, paths) == latest))

    return [point for points, _ in sides for point in points], after_all


def _outer_loops(scope: str) -> int:
    """Return how many loops lie around a place, those inside an `each` left out: its items have rounds of their own."""
    return list(takewhile(lambda part: part != Each.control, scope.split("/"))).count(Loop.control)
