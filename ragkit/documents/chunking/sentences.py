"""Passages of whole sentences.

Source: Bommarito et al. 2025, Precise Legal Sentence Boundary Detection for Retrieval at Scale (arXiv 2504.04131): a
Punkt model that comes with the package `nupunkt`. Chinese and Japanese full stops are added.
"""

import re
from collections.abc import Iterator, Sequence

from ragkit.documents.chunking.length import Length
from ragkit.documents.chunking.parts import Part, Piece
from ragkit.documents.chunking.settings import Chunking
from ragkit.documents.chunking.tokens import split
from ragkit.errors import need

_WIDE_STOP = re.compile(r"[。！？｡]+[”’」』）\"')]*")


def cut_sentences(text: str, parts: Sequence[Part], settings: Chunking, length: Length) -> list[Piece]:
    """Cut the text of some consecutive parts after sentences; a sentence longer than `size` is cut as by tokens.

    The end of a block, and in a table the end of a row, ends a sentence. `overlap` counts sentences; fewer are
    repeated where the next one would not fit otherwise.
    """
    size = settings.size
    sentences = [
        short
        for part in parts
        for start, end in _sentences(text, part)
        for short in split(text, start, end, size, 0, length)
    ]
    lengths = [length(sentence.text) for sentence in sentences]
    pieces: list[Piece] = []
    first = last = 0
    while last < len(sentences):
        total = sum(lengths[first:last])
        while last < len(sentences) and (last == first or total + lengths[last] <= size):
            total += lengths[last]
            last += 1
        start, end = sentences[first].start, sentences[last - 1].end
        pieces.append(Piece(start, end, text[start:end]))
        first = last - min(settings.overlap, last - first)
        while first < last < len(sentences) and sum(lengths[first : last + 1]) > size:
            first += 1
    return pieces


def _sentences(text: str, part: Part) -> Iterator[tuple[int, int]]:
    """Return where the sentences of a part begin and end in the text of the page."""
    inner = text[part.start : part.end]
    if part.block.kind == "table":
        spans = [match.span() for match in re.finditer(r"[^\n]+", inner)]
    else:
        spans = need("nupunkt", "nupunkt", "cutting passages by sentences").sentence_spans(inner)
    for start, end in spans:
        begin = start
        for stop in () if inner.isascii() else _WIDE_STOP.finditer(inner, start, end):
            yield part.start + begin, part.start + stop.end()
            begin = stop.end()
        if begin < end:
            yield part.start + begin, part.start + end
