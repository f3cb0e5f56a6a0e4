"""Lists of different lengths, one for each passage (its terms, its token vectors ...), in .npy files that are mapped.

<folder>/sizes.npy    the length of each list, int32
<folder>/<name>.npy   the items of all lists behind one another; one file for each property of the items
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import RagkitError
from ragkit.index.part import Growth

_SIZES = "sizes"
_BLOCK = 4_000_000

Columns = Mapping[str, NDArray[Any]]


class Block(NamedTuple):
    """The lists of passages that follow one another, from position `first` on."""

    first: int
    sizes: NDArray[np.int32]
    columns: Columns

    @property
    def owners(self) -> NDArray[np.int64]:
        """The passage that each item belongs to, counted from `first`."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


class Lists:
    """The lists of a folder, mapped from disk."""

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self.sizes: NDArray[np.int32] = np.load(folder / f"{_SIZES}.npy", mmap_mode="r")
        self.columns: Columns = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in names}

    def blocks(self, items: int | None = None) -> Iterator[Block]:
        """Return all lists, at most `items` items at a time (a longer list stands alone)."""
        ends = np.cumsum(self.sizes, dtype=np.int64)
        first, start = 0, 0
        while first < len(self.sizes):
            last = max(first + 1, int(np.searchsorted(ends, start + (items or _BLOCK), side="right")))
            end = int(ends[last - 1])
            columns = {name: column[start:end] for name, column in self.columns.items()}
            yield Block(first, self.sizes[first:last], columns)
            first, start = last, end


class ListsWriter:
    """Writes lists one after the other, as a context manager.

    Args:
        folder: created if need be.
        columns: the type of each property by name; the shape of an item is that of the first one.
    """

    def __init__(self, folder: Path, columns: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._sizes: list[NDArray[np.int32]] = []
        self._files = {name: _GrowingArray(folder / f"{name}.npy", kind) for name, kind in columns.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files.values():
            file.close()
        np.save(self._folder / f"{_SIZES}.npy", np.concatenate([np.empty(0, np.int32), *self._sizes]))

    def add(self, sizes: NDArray[np.int32], columns: Columns) -> None:
        """Write the lists of the next passages.

        Raises:
            RagkitError: an item has another shape than those before it.
        """
        self._sizes.append(sizes)
        for name, file in self._files.items():
            file.add(columns[name])

    def take_over(self, earlier: Lists, growth: Growth) -> None:
        """Write the lists that an earlier build holds of the passages below `growth.start`; deleted ones get empty."""
        places = np.arange(growth.start) if growth.kept is None else growth.kept
        sizes = earlier.sizes[places]
        sizes[growth.deleted[growth.deleted < growth.start]] = 0
        stays = np.zeros(len(earlier.sizes), np.bool_)
        stays[places[sizes > 0]] = True
        self._sizes.append(sizes)
        everything = np.array_equal(sizes, earlier.sizes)
        for block in earlier.blocks():
            owners = stays[block.first : block.first + len(block.sizes)]
            kept = slice(None) if everything else np.repeat(owners, block.sizes)
            for name, file in self._files.items():
                file.add(block.columns[name][kept])


class _GrowingArray:
    """A .npy file that is written from front to back; its length is put into the header at the end."""

    def __init__(self, path: Path, kind: str) -> None:
        self._kind, self._length = np.dtype(kind), 0
        self._item: tuple[int, ...] | None = None
        self._file = path.open("wb")

    def add(self, items: NDArray[Any]) -> None:
        if not len(items):
            return
        if self._item is None:
            self._item = items.shape[1:]
            self._write_header()
        if items.shape[1:] != self._item:
            raise RagkitError(f"there are vectors of {self._item} and of {items.shape[1:]} dimensions")
        self._file.write(np.ascontiguousarray(items, self._kind).tobytes())
        self._length += len(items)

    def close(self) -> None:
        self._file.seek(0)
        self._write_header()  # as long as the first one: NumPy leaves room for the length
        self._file.close()

    def _write_header(self) -> None:
        shape = (self._length, *(self._item or ()))
        description = {"descr": self._kind.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, description)
