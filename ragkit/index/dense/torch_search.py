"""Exact search by matrix products in torch, for GPUs that the installed FAISS cannot use."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError, need
from ragkit.index.dense.backend import Found
from ragkit.index.dense.embedding import Vectors
from ragkit.index.dense.settings import Metric, Precision
from ragkit.index.part import Selection

_BLOCK_BYTES = 1 << 28
_SHARE_FOR_VECTORS = 0.7
_SHARE_FOR_SCORES = 0.1


def cuda_problem() -> str | None:
    """Return why torch cannot use a GPU here, None if it can."""
    torch = need("torch", "torch", "searching on a GPU")
    return None if torch.cuda.is_available() else f"torch {torch.__version__} finds no CUDA device"


class TorchSearch:
    """Compares queries with all vectors, block by block, on a device.

    The vectors stay on the device if they fit into its free memory. If not, each search sends them there in blocks:
    the next block is on its way (pinned memory, a stream of its own) while one is compared.

    Args:
        vectors: shape (n, dimension), float32; may be a memory map.
        metric: cosine expects vectors and queries of length 1.
        device: a torch device; `cpu` gives the same results by the same code.
        precision: how the vectors are kept; sums are float32 in any case.
        memory: bytes of the device to use; None to ask the device.

    Raises:
        InputError: not even one block fits.
    """

    graph_width: int | None = None

    def __init__(
        self, vectors: Vectors, metric: Metric, device: str, precision: Precision, memory: int | None = None
    ) -> None:
        self._torch: Any = need("torch", "torch", "searching on a GPU")
        self._device = self._torch.device(device)
        self._cuda = self._device.type == "cuda"
        self.device_used = f"{self._device.type}, torch"
        self.precision_used: str = precision
        self._dtype = getattr(self._torch, precision)
        self._metric = metric
        self._vectors = vectors
        count, dimension = vectors.shape
        memory = self._free_memory() if memory is None else memory
        self._score_bytes = int(memory * _SHARE_FOR_SCORES)
        row = dimension * self._dtype.itemsize
        resident = count * row <= memory * _SHARE_FOR_VECTORS
        # Streaming holds two blocks, and float32 copies of both where the precision is float16.
        self._rows = min(count, _BLOCK_BYTES // row, int(memory * _SHARE_FOR_VECTORS) // (6 * row))
        if self._rows < 1:
            raise InputError(f"index.dense.device: {memory} bytes of free memory on {device} are too few to search in")
        self._resident = [block for _, block in self._send()] if resident else None

    @property
    def streams(self) -> bool:
        """Whether each search sends the vectors to the device anew."""
        return self._resident is None

    def find(self, queries: Vectors, fetch: int, allowed: Selection | None) -> Found:
        torch = self._torch
        sent = torch.from_numpy(queries).to(self._device)
        # A block's scores for all queries may not fit: so many queries at a time.
        step = max(1, self._score_bytes // (4 * (self._rows + 2 * fetch)))
        parts = torch.split(sent, step)
        scores: list[Any] = [torch.full((len(part), 0), 0.0, device=self._device) for part in parts]
        places: list[Any] = [torch.full((len(part), 0), 0, device=self._device) for part in parts]
        mask = None if allowed is None else torch.from_numpy(allowed).to(self._device)
        for first, block in self._blocks():
            outside = None if mask is None else ~mask[first : first + len(block)]
            for number, part in enumerate(parts):
                found = self._compare(part, block)
                if outside is not None:
                    found.masked_fill_(outside, -torch.inf)
                best, where = torch.topk(found, min(fetch, len(block)))
                scores[number], places[number] = self._merge(
                    torch.cat([scores[number], best], 1), torch.cat([places[number], where + first], 1), fetch
                )
        found_scores, found_places = torch.cat(scores), torch.cat(places)
        found_places.masked_fill_(found_scores == -torch.inf, -1)
        if self._metric == "l2":
            found_scores -= (sent * sent).sum(1, keepdim=True)
        return _padded(found_scores.cpu().numpy(), found_places.cpu().numpy(), fetch)

    def selects(self, queries: int, allowed: Selection) -> bool:
        return True

    def _compare(self, queries: Any, block: Any) -> Any:
        """Return scores, float32, shape (queries, block); those of l2 lack minus the query's squared length."""
        torch = self._torch
        if self._cuda and self._dtype == torch.float16:
            products = torch.mm(queries.half(), block.T, out_dtype=torch.float32)
        else:
            products = queries @ block.float().T
        if self._metric == "l2":
            whole = block.float()
            products = 2 * products - (whole * whole).sum(1)
        return products

    def _merge(self, scores: Any, places: Any, fetch: int) -> tuple[Any, Any]:
        best, where = self._torch.topk(scores, min(fetch, scores.shape[1]))
        return best, places.gather(1, where)

    def _blocks(self) -> Iterator[tuple[int, Any]]:
        if self._resident is None:
            yield from self._send()
        else:
            for number, block in enumerate(self._resident):
                yield number * self._rows, block

    def _send(self) -> Iterator[tuple[int, Any]]:
        """Send the vectors to the device block by block; the next one travels while the caller uses one."""
        torch = self._torch
        starts = range(0, len(self._vectors), self._rows)
        if not self._cuda:
            for first in starts:
                yield first, self._host(first)
            return
        stream = torch.cuda.Stream(self._device)

        def send(first: int) -> tuple[Any, Any, Any]:
            pinned = self._host(first).pin_memory()
            with torch.cuda.stream(stream):
                block = pinned.to(self._device, non_blocking=True)
                arrived = torch.cuda.Event()
                arrived.record(stream)
            return pinned, block, arrived

        travelling = send(0)
        for first in starts:
            pinned, block, arrived = travelling
            current = torch.cuda.current_stream(self._device)
            current.wait_event(arrived)
            block.record_stream(current)  # its memory is not given to the next block while it is still read
            if first + self._rows < len(self._vectors):
                travelling = send(first + self._rows)
            yield first, block
            arrived.synchronize()  # the pinned copy may go now
            del pinned

    def _host(self, first: int) -> Any:
        block = self._vectors[first : first + self._rows]
        # A copy: torch takes no read-only memory.
        return self._torch.from_numpy(np.array(block)).to(self._dtype)

    def _free_memory(self) -> int:
        if self._cuda:
            return int(self._torch.cuda.mem_get_info(self._device)[0])
        return int(need("psutil", "psutil", "searching with torch").virtual_memory().available)


def _padded(scores: Vectors, places: NDArray[np.int64], fetch: int) -> Found:
    missing = ((0, 0), (0, fetch - scores.shape[1]))
    return (
        np.pad(scores, missing, constant_values=-np.inf).astype(np.float32),
        np.pad(places, missing, constant_values=-1).astype(np.int64),
    )
