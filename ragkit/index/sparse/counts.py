"""Which terms each passage holds and how often: what BM25 of every variant is computed from.

    <folder>/counts/sizes.npy        different terms of each passage, int32
    <folder>/counts/terms.npy        their numbers, passage by passage, int32
    <folder>/counts/frequencies.npy  how often they occur, int32
    <folder>/counts/deleted.npy      positions of deleted passages, int64
    <folder>/vocab.index.json        the number of each term

An index that grows takes over the counts of its earlier build and analyses only the new passages.
"""

import hashlib
import json
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need
from ragkit.index.part import Growth
from ragkit.index.sparse.analyser import ANALYSIS, Analyser
from ragkit.index.sparse.settings import SparseSettings

COUNTS, VOCABULARY = "counts", "vocab.index.json"
_PIECE = 20_000
_BLOCK = 4_000_000

Ints = NDArray[np.int32]


class Counts(NamedTuple):
    """The counts of all passages, mapped from disk; deleted passages have no terms."""

    sizes: Ints
    terms: Ints
    frequencies: Ints
    deleted: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> "Counts":
        """Map the counts of a sparse index."""
        return cls(*(np.load(folder / COUNTS / f"{name}.npy", mmap_mode="r") for name in cls._fields))

    def blocks(self) -> Iterator[tuple[slice, slice]]:
        """Return (passages, pairs) that follow one another, a few million (passage, term) pairs at a time."""
        ends = np.cumsum(self.sizes, dtype=np.int64)
        first, start = 0, 0
        while first < len(self.sizes):
            last = max(first + 1, int(np.searchsorted(ends, start + _BLOCK, side="right")))
            yield slice(first, last), slice(start, int(ends[last - 1]))
            first, start = last, int(ends[last - 1])


def write_counts(settings: SparseSettings, growth: Growth, folder: Path) -> dict[str, int]:
    """Count the terms of all passages and return the number of each term.

    Passages are analysed in pieces, which are kept in `growth.work`: a build that follows a killed one finds them.
    """
    analyser = Analyser(settings)
    # The empty word, which no passage holds, keeps bm25s from meeting an empty vocabulary.
    vocabulary = {"": 0} if growth.previous is None else read_vocabulary(growth.previous)
    pieces = []
    for first, texts in growth.pieces(_PIECE):
        path = growth.work / f"counts-{_digest(settings, texts)}.npz"
        if not path.exists():
            _save(path, _count(texts, analyser))
        pieces.append(path)
        growth.on_done(first + len(texts) - growth.start)
    _join(growth, pieces, vocabulary, folder)
    (folder / VOCABULARY).write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    return vocabulary


def read_vocabulary(folder: Path) -> dict[str, int]:
    """Return the number of each term of a sparse index."""
    vocabulary: dict[str, int] = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    return vocabulary


class _Piece(NamedTuple):
    """The counts of some passages; terms are numbered within the piece."""

    words: list[str]
    sizes: Ints
    terms: Ints
    frequencies: Ints


def _count(texts: Sequence[str], analyser: Analyser) -> _Piece:
    numbers: defaultdict[str, int] = defaultdict(lambda: len(numbers))
    lengths = np.empty(len(texts), np.int64)
    found = array("i")
    for position, text in enumerate(texts):
        words = analyser.words(text)
        lengths[position] = len(words)
        found.extend(map(numbers.__getitem__, words))
    # Stop words and endings go once for each different word, not for each occurrence.
    terms: defaultdict[str, int] = defaultdict(lambda: len(terms))
    made = [-1 if term is None else terms[term] for term in analyser.terms(list(numbers))]
    occurrences = np.array(made, np.int32)[np.frombuffer(found, np.int32)]
    passages = np.repeat(np.arange(len(texts), dtype=np.int32), lengths)
    kept = occurrences >= 0
    sparse: Any = need("scipy.sparse", "scipy", "a sparse index")
    table = sparse.coo_array(
        (np.ones(int(kept.sum()), np.int32), (passages[kept], occurrences[kept])), shape=(len(texts), len(terms))
    ).tocsr()  # adds up what stands in the same place
    return _Piece(list(terms), np.diff(table.indptr).astype(np.int32), table.indices, table.data)


def _digest(settings: SparseSettings, texts: Sequence[str]) -> str:
    """Return a hash of all that the counts of a piece depend on."""
    rules = settings.model_dump(include={"stemmer", "stopwords", "fold_accents"})
    return hashlib.sha256(json.dumps([ANALYSIS, rules, texts]).encode()).hexdigest()[:32]


def _save(path: Path, piece: _Piece) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    words = np.frombuffer("\n".join(piece.words).encode(), np.uint8)
    with temporary.open("wb") as file:
        np.savez(file, words=words, sizes=piece.sizes, terms=piece.terms, frequencies=piece.frequencies)
    temporary.replace(path)


def _load(path: Path) -> _Piece:
    with np.load(path, allow_pickle=False) as file:
        words = file["words"].tobytes().decode().split("\n")
        return _Piece(words, file["sizes"], file["terms"], file["frequencies"])


def _join(growth: Growth, pieces: Sequence[Path], vocabulary: dict[str, int], folder: Path) -> None:
    """Write the counts of the earlier build, without what was deleted since, and of the pieces behind one another."""
    sizes = np.zeros(len(growth.texts), np.int32)
    with _Column(folder, "terms") as terms, _Column(folder, "frequencies") as frequencies:
        if growth.previous is not None:
            earlier = Counts.open(growth.previous)
            places = np.arange(growth.start) if growth.kept is None else growth.kept
            sizes[: growth.start] = earlier.sizes[places]
            sizes[growth.deleted] = 0
            stays = np.zeros(len(earlier.sizes), np.bool_)
            stays[places[sizes[: growth.start] > 0]] = True
            for passages, pairs in earlier.blocks():
                kept = np.repeat(stays[passages], earlier.sizes[passages])
                terms.add(earlier.terms[pairs][kept])
                frequencies.add(earlier.frequencies[pairs][kept])
        first = growth.start
        for path in pieces:
            piece = _load(path)
            numbers = np.array([vocabulary.setdefault(word, len(vocabulary)) for word in piece.words], np.int32)
            sizes[first : first + len(piece.sizes)] = piece.sizes
            terms.add(numbers[piece.terms])
            frequencies.add(piece.frequencies)
            first += len(piece.sizes)
    np.save(folder / COUNTS / "sizes.npy", sizes)
    np.save(folder / COUNTS / "deleted.npy", growth.deleted)


class _Column:
    """A one-dimensional .npy file of int32 that grows."""

    def __init__(self, folder: Path, name: str) -> None:
        (folder / COUNTS).mkdir(parents=True, exist_ok=True)
        self._file = (folder / COUNTS / f"{name}.npy").open("wb")
        self._length = 0

    def __enter__(self) -> Self:
        self._write_header()
        return self

    def add(self, values: Ints) -> None:
        """Write values behind the others."""
        self._file.write(np.ascontiguousarray(values, np.int32).tobytes())
        self._length += len(values)

    def __exit__(self, *error: object) -> None:
        self._file.seek(0)
        self._write_header()  # as long as the first one: NumPy leaves room for the length
        self._file.close()

    def _write_header(self) -> None:
        description = {"descr": "<i4", "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, description)
