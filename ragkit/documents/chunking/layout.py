"""Passages that follow the layout: never across a heading, tables and figures whole."""

from collections.abc import Iterator, Sequence

from ragkit.documents.chunking.length import Length
from ragkit.documents.chunking.parts import Part, Piece, piece
from ragkit.documents.chunking.settings import Chunking
from ragkit.documents.chunking.tables import split_table
from ragkit.documents.chunking.tokens import cut_tokens

_WHOLE = 4
"""Tables and figures stay whole up to so many times the size of a passage."""


def cut_layout(text: str, parts: Sequence[Part], settings: Chunking, length: Length) -> list[Piece]:
    """Cut before headings and around tables and figures, and what is longer than `size` as by tokens.

    A heading opens the passage that follows it. A table of more than four times `size` tokens is cut between its rows;
    each piece then begins with its caption and head.
    """
    pieces: list[Piece] = []
    for group in groups(parts):
        kind = group[-1].block.kind
        whole = piece(text, group[0].start, group[-1].end) if kind in ("table", "figure") else None
        if whole is not None and length(whole.text) <= _WHOLE * settings.size:
            pieces.append(whole)
        elif kind == "table":
            pieces += _split(text, group, settings, length)
        else:
            pieces += cut_tokens(text, group, settings, length)
    return pieces


def groups(parts: Sequence[Part], *, apart: bool = True) -> Iterator[list[Part]]:
    """Return the parts between headings; headings in a row open one group.

    Args:
        parts: consecutive parts of a page.
        apart: whether tables and figures (with headings right above them) are groups of their own.
    """
    group: list[Part] = []
    for part in parts:
        kind = part.block.kind
        alone = apart and kind in ("table", "figure")
        if group and (kind == "heading" or alone) and any(part.block.kind != "heading" for part in group):
            yield group
            group = []
        group.append(part)
        if alone:
            yield group
            group = []
    if group:
        yield group


def _split(text: str, group: Sequence[Part], settings: Chunking, length: Length) -> Iterator[Piece]:
    """Cut a long table between its rows; the headings above it stay with the first piece."""
    table = group[-1]
    for number, (start, end, rows) in enumerate(split_table(text[table.start : table.end], settings.size, length)):
        if number == 0 and len(group) > 1:
            rows = text[group[0].start : table.start] + rows
            yield Piece(group[0].start, table.start + end, rows)
        else:
            yield Piece(table.start + start, table.start + end, rows)
