"""Passages of up to so many tokens, cut at the ends of blocks, lines, sentences and words, in this order."""

from collections.abc import Sequence

from ragkit.documents.chunking.length import Length
from ragkit.documents.chunking.parts import BLOCK_END, Part, Piece, piece
from ragkit.documents.chunking.settings import Chunking

_SEPARATORS = [BLOCK_END, "\n", r"(?<=[.!?;])\s+", r"\s+", ""]


def cut_tokens(text: str, parts: Sequence[Part], settings: Chunking, length: Length) -> list[Piece]:
    """Cut the text of some consecutive parts into pieces of at most `size` tokens."""
    if not parts:
        return []
    if settings.overlap:
        return split(text, parts[0].start, parts[-1].end, settings.size, settings.overlap, length)
    # What the splitter would do with the blocks, counting each of them once.
    between = length(BLOCK_END) if len(parts) > 1 else 0
    pieces: list[Piece] = []
    start, end, filled = 0, 0, 0
    for part in parts:
        tokens = length(text[part.start : part.end])
        if filled and filled + between + tokens <= settings.size:
            end, filled = part.end, filled + between + tokens
            continue
        if filled:
            pieces += _stripped(text, start, end)
        if tokens > settings.size:
            pieces += split(text, part.start, part.end, settings.size, 0, length)
            filled = 0
        else:
            start, end, filled = part.start, part.end, tokens
    return pieces + (_stripped(text, start, end) if filled else [])


def _stripped(text: str, start: int, end: int) -> list[Piece]:
    found = piece(text, start, end)
    return [found] if found else []


def split(text: str, start: int, end: int, size: int, overlap: int, length: Length) -> list[Piece]:
    """Cut the stretch of a text from `start` to `end` into pieces of at most `size` tokens."""
    whole = piece(text, start, end)
    # A token has at least one character, so a text of few characters need not be counted.
    if whole is None or len(whole.text) <= size or length(whole.text) <= size:
        return [whole] if whole else []
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    splitter = RecursiveCharacterTextSplitter(
        separators=_SEPARATORS,
        is_separator_regex=True,
        chunk_size=size,
        chunk_overlap=overlap,
        length_function=length,
    )
    # The splitter's own add_start_index takes the overlap for characters and loses the place when it is in tokens.
    pieces: list[Piece] = []
    search_from = 0
    for found in splitter.split_text(whole.text):
        begin = whole.text.index(found, search_from)
        pieces.append(Piece(whole.start + begin, whole.start + begin + len(found), found))
        search_from = begin + 1 if overlap else begin + len(found)
    return pieces
