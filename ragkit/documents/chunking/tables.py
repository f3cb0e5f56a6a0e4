"""Cut a table between its rows, with its caption and head before each piece."""

import re
from collections.abc import Iterator

from ragkit.documents.chunking.length import Length
from ragkit.documents.chunking.tokens import split

# Possessive: a line of thousands of blanks would be cut in all ways otherwise.
_RULE = re.compile(r"\s*+\|?\s*+:?-++:?\s*+(?:\|\s*+:?-++:?\s*+)*+\|?\s*+")
_LINE = re.compile(r"[^\n]+")


def split_table(text: str, size: int, length: Length) -> Iterator[tuple[int, int, str]]:
    """Cut a Markdown table into pieces of about `size` tokens and return (start, end, text) of each.

    Every piece begins with what stands above the first row (caption, column heads), unless that alone is half of
    `size` or more; places are those of the rows. A row that is longer than `size` is cut as by tokens.

    Args:
        text: caption lines, then the table in Markdown; without a rule (`|---|`) the lines are rows.
        size: the most tokens in a piece.
        length: counts the tokens of a text.
    """
    lines = [match.span() for match in _LINE.finditer(text)]
    rule = next((n for n, (start, end) in enumerate(lines) if _RULE.fullmatch(text, start, end)), None)
    head = text[: lines[rule][1]] + "\n" if rule is not None else ""
    if length(head) * 2 > size:
        head, rule = "", None
    room = size - length(head)
    taken: list[tuple[int, int]] = []
    filled = 0
    for start, end in lines if rule is None else lines[rule + 1 :]:
        tokens = length(text[start:end])
        if taken and filled + tokens > room:
            yield _rows(text, head, taken)
            taken, filled = [], 0
        if tokens > room:
            yield from ((cut.start, cut.end, head + cut.text) for cut in split(text, start, end, room, 0, length))
        else:
            taken.append((start, end))
            filled += tokens
    if taken:
        yield _rows(text, head, taken)


def _rows(text: str, head: str, rows: list[tuple[int, int]]) -> tuple[int, int, str]:
    start, end = rows[0][0], rows[-1][1]
    return start, end, head + text[start:end]
