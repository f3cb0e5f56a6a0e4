"""Boxes: how they lie to each other."""

from collections.abc import Iterable, Sequence

from ragkit.documents.document import Box


def union(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around boxes (at least one)."""
    left, top, right, bottom = zip(*boxes, strict=True)
    return (min(left), min(top), max(right), max(bottom))


def area(box: Box) -> float:
    """Return the area, 0 for an empty box."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def overlap(low: float, high: float, other_low: float, other_high: float) -> float:
    """Return the length that two intervals share."""
    return max(0.0, min(high, other_high) - max(low, other_low))


def share_inside(box: Box, other: Box) -> float:
    """Return which share of a box lies inside another."""
    whole = area(box)
    if whole <= 0:
        return float(contains(other, box))
    return overlap(box[0], box[2], other[0], other[2]) * overlap(box[1], box[3], other[1], other[3]) / whole


def contains(box: Box, other: Box) -> bool:
    """Say whether the centre of the other box lies in the box."""
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] <= x <= box[2] and box[1] <= y <= box[3]


def grown(box: Box, by: float) -> Box:
    """Return the box with every edge moved outwards."""
    return (box[0] - by, box[1] - by, box[2] + by, box[3] + by)


def touch(box: Box, other: Box) -> bool:
    """Say whether two boxes overlap or touch."""
    return box[0] <= other[2] and other[0] <= box[2] and box[1] <= other[3] and other[1] <= box[3]


def merged_where(boxes: Sequence[Box], gap: float) -> list[Box]:
    """Return boxes with those united that overlap or lie within `gap` of each other, until none is left."""
    result: list[Box] = []
    for box in boxes:
        while near := [other for other in result if touch(grown(box, gap), other)]:
            result = [other for other in result if other not in near]
            box = union([box, *near])
        result.append(box)
    return result
