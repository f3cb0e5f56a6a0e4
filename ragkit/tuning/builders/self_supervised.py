"""Queries that a corpus itself gives, each with a passage that serves it; no labels are needed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from ragkit.errors import need
from ragkit.index.fields import SearchField, searched_text
from ragkit.index.store import PassageStore

Kind = Literal["question", "title", "sentence"]

_FEWEST_SENTENCES = 3
_FEWEST_WORDS = 5
_LEFT_IN = 0.1


@dataclass(frozen=True, slots=True)
class FreeQuery:
    """A query taken from a corpus.

    Attributes:
        passage: id of the passage that it was taken from.
        positive: that passage's text, without what the query is.
    """

    kind: Kind
    passage: str
    query: str
    positive: str


def free_queries(
    store: PassageStore, fields: Sequence[SearchField], titles: int, sentences: int, draw: random.Random
) -> Iterator[FreeQuery]:
    """Yield titles and sentences of passages drawn at random, at most so many of each.

    A title's positive is the passage without it. A sentence's positive is the passage without the sentence, in one of
    ten cases with it: so that words which are the same on both sides still count.
    """
    order = list(range(len(store)))
    draw.shuffle(order)
    found: dict[Kind, int] = {"title": 0, "sentence": 0}
    wanted: dict[Kind, int] = {"title": titles, "sentence": sentences}
    for position in order:
        open_kinds = [kind for kind in found if found[kind] < wanted[kind]]
        if not open_kinds:
            return
        kind = draw.choice(open_kinds)
        ((text, metadata),) = store.read_with_metadata(position, position + 1)
        free = _title(text, metadata, fields) if kind == "title" else _sentence(text, metadata, fields, draw)
        if free is not None:
            found[kind] += 1
            yield FreeQuery(kind, store.ids([position])[position], *free)


def _title(text: str, metadata: dict[str, object], fields: Sequence[SearchField]) -> tuple[str, str] | None:
    title = str(metadata.get("title") or "").strip()
    rest = searched_text(text, metadata, [field for field in fields if field != "title"])
    return (title, rest) if title and rest else None


def _sentence(
    text: str, metadata: dict[str, object], fields: Sequence[SearchField], draw: random.Random
) -> tuple[str, str] | None:
    spans = need("nupunkt", "nupunkt", "sentences as queries").sentence_spans(text)
    long = [(start, end) for start, end in spans if len(text[start:end].split()) >= _FEWEST_WORDS]
    if len(spans) < _FEWEST_SENTENCES or not long:
        return None
    start, end = draw.choice(long)
    rest = text if draw.random() < _LEFT_IN else f"{text[:start].rstrip()} {text[end:].lstrip()}".strip()
    return text[start:end].strip(), searched_text(rest, metadata, fields)
