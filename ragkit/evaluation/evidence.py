"""Find gold evidence in the index: the passages that a gold passage, page or document id stands for."""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Self

from ragkit.engine.calls import Resource
from ragkit.engine.state import Passage
from ragkit.evaluation.metrics.answers import normalise
from ragkit.index.folder import PASSAGES, current_build
from ragkit.index.local import LocalIndex
from ragkit.index.store import PassageStore

_PIECE = re.compile(r"(#p\d+)?(\.c\d+)?$")
_WINDOWS = ((0, 8), (8, 64), (64, 1024), (1024, 16_384))
"""Numbers of pieces that are asked for at once: most pages and documents are a few."""


def document_of(gold: str) -> str:
    """Return the id of the document of a gold passage, page or document."""
    return _PIECE.sub("", gold)


def holds_answer(texts: Iterable[str], answers: Iterable[str]) -> bool:
    """Say whether texts, read one after the other, hold a gold answer as whole words, normalised as by `em`."""
    golds = [gold for gold in map(normalise, answers) if gold]
    if not golds:
        return False
    words = f" {' '.join(filter(None, map(_words, texts)))} "
    return any(f" {gold} " in words for gold in golds)


@lru_cache(maxsize=4096)
def _words(text: str) -> str:
    """Return a passage normalised; the same passages come with many questions."""
    return normalise(text)


class Evidence:
    """The passages of an index by gold id; a context manager that closes the passages' file.

    It relies on the ids that `ragkit.documents` gives: `<document>#p<page>.c<n>`, `<document>.c<n>`, `<document>`.
    """

    def __init__(self, index: LocalIndex) -> None:
        self._files = index.manifest().files
        self._store = PassageStore(current_build(index.folder) / PASSAGES)
        self._found: dict[str, list[Passage]] = {}

    @classmethod
    def of(cls, index: Resource | None) -> Self | None:
        """Return the evidence of an index, or None for an index of another kind, which cannot be looked into."""
        return cls(index) if isinstance(index, LocalIndex) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._store.close()

    def find(self, gold: Iterable[str]) -> Mapping[str, list[Passage]]:
        """Return the passages of each gold id in the order of the document, an empty list where there are none."""
        wanted = list(dict.fromkeys(gold))
        new = [name for name in wanted if name not in self._found]
        if new:
            whole = self._store.get(new)
            self._found |= {name: [whole[name]] if name in whole else [] for name in new}
            pieces = self._pieces([name for name in new if not self._found[name]])
            self._found |= pieces
            self._found |= {name: self._pages(name) for name in pieces if not pieces[name] and name in self._files}
        return {name: self._found[name] for name in wanted}

    def has_document(self, gold: str) -> bool:
        """Say whether the document of a gold id is among those that the index was built from.

        A row of a JSONL file of which nothing could be indexed counts as missing.
        """
        document = document_of(gold)
        return document in self._files or bool(self.find([document])[document]) or bool(self.find([gold])[gold])

    def get(self, ids: Iterable[str]) -> Mapping[str, Passage]:
        """Return passages by their own ids; unknown ids are left out."""
        return self._store.get(list(ids))

    def _pieces(self, names: list[str]) -> dict[str, list[Passage]]:
        """Return the pieces `<name>.c0`, `<name>.c1` ... of pages or documents."""
        found: dict[str, list[Passage]] = {name: [] for name in names}
        open_ends = names
        for start, end in _WINDOWS:
            ids = {name: [f"{name}.c{number}" for number in range(start, end)] for name in open_ends}
            known = self._store.get([identifier for own in ids.values() for identifier in own])
            for name in open_ends:
                found[name] += [known[identifier] for identifier in ids[name] if identifier in known]
            open_ends = [name for name in open_ends if len(found[name]) == end]
            if not open_ends:
                break
        return found

    def _pages(self, document: str) -> list[Passage]:
        """Return the pieces of all pages of a paged document; pages without text leave gaps."""
        found: list[Passage] = []
        for start, end in _WINDOWS:
            pages = [f"{document}#p{number}" for number in range(start + 1, end + 1)]
            pieces = self._pieces(pages)
            found += [piece for page in pages for piece in pieces[page]]
            if start >= 64 and not any(pieces.values()):
                break
        return found
