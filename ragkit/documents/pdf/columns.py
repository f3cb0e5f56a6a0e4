"""Where the columns of a table are parted: by rules, or by white strips that run through its rows."""

from collections.abc import Sequence

from ragkit.documents.pdf.content import Rule, Word
from ragkit.documents.pdf.geometry import overlap
from ragkit.documents.pdf.rows import Row, is_value, segments

_SAME = 2.0


def cuts(rules: Sequence[Rule], low: float, high: float, share: float) -> list[float]:
    """Return where rules along an axis cover at least a share of the way from `low` to `high`."""
    near = sorted(rule for rule in rules if overlap(rule.low, rule.high, low, high) > 0)
    found: list[float] = []
    start = 0
    while start < len(near):
        end = start
        while end < len(near) and near[end].at - near[start].at <= _SAME:
            end += 1
        if _covered(near[start:end], low, high) >= share * (high - low):
            found.append(sum(rule.at for rule in near[start:end]) / (end - start))
        start = end
    return found


def _covered(rules: Sequence[Rule], low: float, high: float) -> float:
    total, reach = 0.0, low
    for rule in sorted(rules, key=lambda rule: rule.low):
        start, end = max(rule.low, reach), min(rule.high, high)
        if end > start:
            total += end - start
            reach = end
    return total


def white_strips(rows: Sequence[Sequence[Word]], size: float) -> list[tuple[float, float]]:
    """Return (left, right) of the white strips that part the columns."""
    found = [segments(row, 0.5 * size) for row in rows]
    most = max(len(row) for row in found)
    body = [row for row in found if len(row) >= max(2, 0.5 * most)]
    if not body:
        return []
    gap = size * (0.5 if len(body) >= 6 else 0.65 if len(body) >= 3 else 1.0)
    allowed = int(0.1 * len(body))
    events = sorted([(s.x0, 1) for row in body for s in row] + [(s.x1, -1) for row in body for s in row])
    strips: list[tuple[float, float]] = []
    depth, open_at = 0, None
    for position, step in events:
        before = depth
        depth += step
        if before > allowed >= depth:
            open_at = position
        elif before <= allowed < depth and open_at is not None:
            if position - open_at >= gap or (
                position - open_at >= 0.3 * size and _between_values(body, open_at, position)
            ):
                strips.append((open_at, position))
            open_at = None
    return _with_content(strips, body) if allowed else strips


def _between_values(body: Sequence[Row], low: float, high: float) -> bool:
    """Say whether numbers stand on both sides of a strip in nearly all rows that have words on both sides."""
    numbers = words = 0
    for row in body:
        left = [s for s in row if s.x1 <= low + 0.1]
        right = [s for s in row if s.x0 >= high - 0.1]
        if left and right:
            words += 1
            numbers += is_value(left[-1].words[-1].text) and is_value(right[0].words[0].text)
    return words >= 2 and numbers >= 0.7 * words


def _with_content(strips: list[tuple[float, float]], body: Sequence[Row]) -> list[tuple[float, float]]:
    """Leave out strips that open a column which hardly any row fills: they lie in a column of uneven length."""
    kept = list(strips)
    number = 1
    while number < len(kept):
        low, high = sum(kept[number - 1]) / 2, sum(kept[number]) / 2
        filled = sum(any(low < (s.x0 + s.x1) / 2 < high and s.x0 > low - 1 for s in row) for row in body)
        if filled < max(2, 0.15 * len(body)):
            del kept[number - 1 if _crossings(low, body) > _crossings(high, body) else number]
        else:
            number += 1
    return kept


def _crossings(x: float, body: Sequence[Row]) -> int:
    return sum(any(s.x0 < x - 1 and s.x1 > x + 1 for s in row) for row in body)
