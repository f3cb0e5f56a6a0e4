"""Which terms each passage holds and how often: what BM25 of every variant is computed from.

    <folder>/counts/              lists of `terms` (their numbers) and `frequencies`
    <folder>/counts/deleted.npy   positions of deleted passages, int64
    <folder>/vocab.index.json     the number of each term

An index that grows takes over the counts of its earlier build and analyses only the new passages.
"""

import hashlib
import json
from array import array
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import need
from ragkit.index.lists import Columns, Lists, ListsWriter
from ragkit.index.part import Growth
from ragkit.index.sparse.analyser import Analyser
from ragkit.index.sparse.settings import ANALYSIS, SparseSettings

_COUNTS, _DELETED, _VOCABULARY = "counts", "deleted.npy", "vocab.index.json"
_COLUMNS = {"terms": "<i4", "frequencies": "<i4"}
_PIECE = 20_000


class Counts(Lists):
    """The counts of a sparse index, with columns `terms` and `frequencies`; deleted passages have no terms.

    Attributes:
        deleted: positions of deleted passages.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / _COUNTS, tuple(_COLUMNS))
        self.deleted: NDArray[np.int64] = np.load(folder / _COUNTS / _DELETED)

    @property
    def present(self) -> int:
        """Number of passages that were not deleted."""
        return len(self.sizes) - len(self.deleted)


def write_counts(settings: SparseSettings, growth: Growth, folder: Path) -> dict[str, int]:
    """Count the terms of all passages and return the number of each term.

    Passages are analysed in pieces, which are kept in `growth.work`: a build that follows a killed one finds them.
    """
    analyser = Analyser(settings)
    # The empty word, which no passage holds, keeps bm25s from meeting an empty vocabulary.
    vocabulary = {"": 0} if growth.previous is None else read_vocabulary(growth.previous)
    with ListsWriter(folder / _COUNTS, _COLUMNS) as writer:
        if growth.previous is not None:
            writer.take_over(Counts(growth.previous), growth)
        for first, texts in growth.pieces(_PIECE):
            path = growth.work / f"counts-{_digest(settings, texts)}.npz"
            if not path.exists():
                _save(path, _count(texts, analyser))
            words, sizes, columns = _load(path)
            numbers = np.array([vocabulary.setdefault(word, len(vocabulary)) for word in words], np.int32)
            writer.add(sizes, {**columns, "terms": numbers[columns["terms"]]})
            growth.on_done(first + len(texts) - growth.start)
    np.save(folder / _COUNTS / _DELETED, growth.deleted)
    (folder / _VOCABULARY).write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    return vocabulary


def read_vocabulary(folder: Path) -> dict[str, int]:
    """Return the number of each term of a sparse index."""
    vocabulary: dict[str, int] = json.loads((folder / _VOCABULARY).read_text(encoding="utf-8"))
    return vocabulary


class _Piece(NamedTuple):
    """The counts of some passages; terms are numbered within the piece."""

    words: list[str]
    sizes: NDArray[np.int32]
    columns: Columns


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
    sizes = np.diff(table.indptr).astype(np.int32)
    return _Piece(list(terms), sizes, {"terms": table.indices, "frequencies": table.data})


def _digest(settings: SparseSettings, texts: Sequence[str]) -> str:
    """Return a hash of all that the counts of a piece depend on."""
    rules = settings.model_dump(include={"stemmer", "stopwords", "fold_accents"})
    return hashlib.sha256(json.dumps([ANALYSIS, rules, texts]).encode()).hexdigest()[:32]


def _save(path: Path, piece: _Piece) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    arrays: dict[str, Any] = {"sizes": piece.sizes, **piece.columns}
    with temporary.open("wb") as file:
        np.savez(file, words=np.frombuffer("\n".join(piece.words).encode(), np.uint8), **arrays)
    temporary.replace(path)


def _load(path: Path) -> _Piece:
    with np.load(path, allow_pickle=False) as file:
        words = file["words"].tobytes().decode().split("\n")
        return _Piece(words, file["sizes"], {name: file[name] for name in _COLUMNS})
