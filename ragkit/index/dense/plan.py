"""What an index of so many vectors costs as Flat, float16, IVF, HNSW and PQ, and what of it fits this machine.

`np` leaves out a long training that only polysemous search (the parameter ht) needs. OPQ before a product quantiser
costs d x d numbers more, a long training as well, and gives some recall back.
Bytes follow from the layouts of FAISS's files, which hold what FAISS holds in memory. They do not count the texts.
"""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragkit.errors import InputError, need
from ragkit.index.dense.embedding import Vectors, scale
from ragkit.index.dense.factory import make, train
from ragkit.index.dense.parameters import apply_parameters
from ragkit.index.dense.settings import Metric, Precision
from ragkit.models.devices import resolve_device

_BASE = 5e8  # bytes beside the vectors while a Flat index is built: the interpreter and a few shards
_LINKS = 32
_QUERIES = 200
_LEAST_SAMPLE = 20
_PQ_CENTROIDS = 256
_SEED = 0


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is, in bytes; None where it cannot be told or there is none.

    Attributes:
        ram: available to new programs.
        vram: of the first GPU.
        disk: free where the index is to be kept.
    """

    ram: int
    vram: int | None
    disk: int

    @classmethod
    def here(cls, folder: Path) -> "Machine":
        """Look at this machine; `folder` or its nearest ancestor that exists tells the disk."""
        psutil = need("psutil", "psutil", "planning an index")
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        return cls(int(psutil.virtual_memory().available), _vram(), int(psutil.disk_usage(str(existing)).free))


@dataclass(frozen=True, slots=True)
class PlanRow:
    """One way to keep the vectors.

    Attributes:
        factory: the factory string.
        precision: how a GPU keeps the vectors.
        search: the search parameters that the recall and the cost hold for.
        ram: bytes that searching reads and the system should be able to keep in memory.
        build_ram: bytes that building takes at most.
        vram: bytes on a GPU; None where no GPU version exists.
        disk: bytes of the finished index.
        build_disk: bytes of the finished index and of the shards of embedded passages it is built from.
        needs: the least number of vectors to train on.
        building: what happens to each vector in a build, after embedding.
        bytes_per_query: how much of the index a query reads, roughly.
        recall: of the exact ten best among a sample of vectors; None without a sample or with too small a one.
        fits: whether RAM, GPU and disk suffice: `ram`, `build_ram`, `vram` (None without a GPU or a GPU version),
            `disk` (with the shards), `vectors` (enough of them to train on).
    """

    factory: str
    precision: Precision
    search: dict[str, float]
    ram: int
    build_ram: int
    vram: int | None
    disk: int
    build_disk: int
    needs: int
    building: str
    bytes_per_query: int
    recall: float | None = None
    fits: dict[str, bool | None] = field(default_factory=dict)


def plan(
    n: int,
    dimension: int,
    sample_vectors: Vectors | None = None,
    machine: Machine | None = None,
    metric: Metric = "cosine",
) -> list[PlanRow]:
    """Return what each way costs for n vectors, and its recall@10 measured on a sample.

    Args:
        n: the number of vectors.
        dimension: their dimension.
        sample_vectors: some of the vectors, shape (any, dimension); for cosine they are scaled here. A tenth of them
            (at most 200) become queries over the others. A smaller index is easier to search: of approximate kinds
            the recall at n is lower unless their parameters grow.
        machine: what to fit into; None for this machine, and the disk of the working directory.
        metric: how vectors are compared.

    Raises:
        InputError: n or the dimension is below 1, or the sample has another dimension or less than 20 vectors.
    """
    if n < 1 or dimension < 1:
        raise InputError(f"a plan needs at least 1 vector of 1 dimension, not {n} of {dimension}")
    machine = machine or Machine.here(Path())
    rows = _rows(n, dimension)
    recalls: list[float | None] = [None] * len(rows)
    if sample_vectors is not None:
        if sample_vectors.ndim != 2 or sample_vectors.shape[1] != dimension or len(sample_vectors) < _LEAST_SAMPLE:
            raise InputError(
                f"the sample has shape {sample_vectors.shape}; at least ({_LEAST_SAMPLE}, {dimension}) is needed"
            )
        recalls = _recalls(sample_vectors, metric)
    return [replace(row, recall=recall, fits=_fits(row, n, machine)) for row, recall in zip(rows, recalls, strict=True)]


def _rows(n: int, d: int) -> list[PlanRow]:
    flat = 4.0 * n * d
    cells = max(1, min(2 ** round(math.log2(4 * math.sqrt(n))), n // 39))
    coarse = cells * (4 * d + 8)  # centroids and the lengths of the lists
    probes = min(16, cells)
    inverted = flat + 8 * n + coarse
    sample = 4 * d * min(n, max(65_536, 64 * cells))
    # Twice the links at the bottom; each higher level has one in `links` of the nodes of the level below.
    graph = flat + n * (4 * (2 * _LINKS + _LINKS / (_LINKS - 1)) + 12)
    parts = max(part for part in range(1, max(1, d // 8) + 1) if d % part == 0)
    codes = n * (parts + 8) + 4 * d * _PQ_CENTROIDS + coarse

    def row(
        factory: str,
        size: float,
        building: str,
        per_query: float,
        *,
        gpu: float | None = None,
        more: float = 0,
        needs: int = 1,
        search: dict[str, float] | None = None,
        precision: Precision = "float32",
    ) -> PlanRow:
        return PlanRow(
            factory=factory,
            precision=precision,
            search=search or {},
            ram=int(size),
            build_ram=int(_BASE + more),
            vram=None if gpu is None else int(gpu),
            disk=int(size),
            build_disk=int(size + flat),
            needs=needs,
            building=building,
            bytes_per_query=int(per_query),
        )

    probing: dict[str, float] = {"nprobe": probes}
    return [
        row("Flat", flat, "copied", flat, gpu=flat),
        row("Flat", flat, "copied", flat, gpu=flat / 2, precision="float16"),
        row("SQfp16", flat / 2, "rounded", flat / 2, more=flat / 2),
        row(
            f"IVF{cells},Flat", inverted, "put into the nearest cell", probes / cells * inverted + coarse,
            gpu=inverted, more=2 * inverted + sample, needs=cells, search=probing,
        ),
        row(
            f"HNSW{_LINKS}", graph, "linked with neighbours that are searched for (slow)", 64 * _LINKS * 4 * d,
            more=2 * graph, search={"efSearch": 64},
        ),
        row(
            f"IVF{cells},PQ{parts}np", codes, "put into the nearest cell and coded",
            probes / cells * codes + coarse,
            gpu=codes, more=2 * codes + sample, needs=max(cells, _PQ_CENTROIDS), search=probing,
        ),
    ]  # fmt: skip


def _fits(row: PlanRow, n: int, machine: Machine) -> dict[str, bool | None]:
    return {
        "ram": row.ram <= machine.ram,
        "build_ram": row.build_ram <= machine.ram,
        "vram": None if row.vram is None or machine.vram is None else row.vram <= machine.vram,
        "disk": row.build_disk <= machine.disk,
        "vectors": row.needs <= n,
    }


def _recalls(sample: Vectors, metric: Metric) -> list[float | None]:
    """Return the recall@10 of each row's kind, as large as the sample asks for."""
    vectors = np.array(sample, dtype=np.float32)  # a copy
    if metric == "cosine":
        scale(vectors)
    chosen = np.random.default_rng(_SEED).permutation(len(vectors))
    asked = min(_QUERIES, len(vectors) // 10)
    queries, others = vectors[chosen[:asked]], vectors[chosen[asked:]]
    exact = _nearest("Flat", {}, queries, others, metric)

    def measured(row: PlanRow) -> float | None:
        if row.needs > len(others):
            return None
        # A GPU in float16 keeps the numbers that SQfp16 keeps.
        factory = "SQfp16" if row.precision == "float16" else row.factory
        found = _nearest(factory, row.search, queries, others, metric)
        hits = sum(len(np.intersect1d(ours, best)) for ours, best in zip(found, exact, strict=True))
        return float(hits / exact.size)

    return [measured(row) for row in _rows(len(others), sample.shape[1])]


def _nearest(
    factory: str, search: dict[str, float], queries: Vectors, vectors: Vectors, metric: Metric
) -> NDArray[np.int64]:
    index = make(factory, vectors.shape[1], metric)
    if not index.is_trained:
        train(factory, index, vectors)
    index.add(vectors)
    apply_parameters(index, factory, search)
    positions: NDArray[np.int64] = index.search(queries, min(10, len(vectors)))[1]
    return positions


def _vram() -> int | None:
    if resolve_device("auto") != "cuda":
        return None
    torch = need("torch", "torch", "asking for the GPU's memory")
    return int(torch.cuda.get_device_properties(0).total_memory) if torch.cuda.is_available() else None
