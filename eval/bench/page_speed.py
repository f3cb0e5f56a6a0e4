"""What pages cost: to read, draw and index one with its crops, and to search a thousand of them by late interaction.

python eval/bench/page_speed.py
"""

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import Target, interleave, ratio, write_result
from generated_pages import cpu_seconds, generate
from numpy.typing import NDArray

from ragkit.documents import PdfSettings
from ragkit.documents.page_settings import PageSettings
from ragkit.documents.pages import Page
from ragkit.engine.calls import LocalResource, Reply, Request
from ragkit.index import LocalIndex, SparseSettings
from ragkit.index.filters import Filter
from ragkit.index.lists import ListsWriter
from ragkit.index.multi_vector import MultiVectorIndex
from ragkit.index.page_vectors import PieceSettings
from ragkit.models.base import ImageEncoder

PAGES, FILES = 1000, 5
VECTORS, DIMENSION, TOKENS = 700, 128, 20


class Looks(ImageEncoder, LocalResource):
    """An encoder without weights: what is measured is everything but the model. It decodes every crop."""

    def fingerprint(self) -> str:
        return "looks"

    def describe(self) -> dict[str, Any]:
        return {"id": "looks"}

    def execute(self, op: str, batch: list[Request]) -> list[Reply | Exception]:  # type: ignore[override]
        return [Reply(self._vector(request)) for request in batch]

    def _vector(self, request: Request) -> NDArray[np.float32]:
        if request.payload is None:
            return np.ones(DIMENSION, np.float32)
        small = np.asarray(request.payload.open().resize((8, 8)), np.float32).ravel()
        return np.resize(small, DIMENSION) + 1


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pages", type=int, default=PAGES)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp())
    try:
        pages = indexing(work, options.pages)
        maxsim = searching(work, options.rounds)
    finally:
        shutil.rmtree(work)
    targets = [
        Target("seconds of a core to read, draw and index a page", pages["cpu a page"], 0.7, "below"),
        Target("peak memory, MB", pages["peak MB"], 1500, "below"),
        Target("MaxSim against the bare matrix products", maxsim["ratio"], 3, "below"),
    ]
    settings = {"pages": options.pages, "vectors": VECTORS, "dimension": DIMENSION, "query tokens": TOKENS}
    full = options.pages == PAGES
    write_result("page_speed", settings, {"pages": pages, "maxsim": maxsim}, targets, full=full)


def indexing(work: Path, count: int) -> dict[str, float]:
    """Read generated documents, index text and crops, and draw every page."""
    (work / "docs").mkdir()
    for number in range(FILES):
        generate(work / "docs" / f"{number}.pdf", seed=number, pages=count // FILES, each=min(20, count // FILES // 5))
    index = LocalIndex(
        documents=(str(work / "docs" / "*.pdf"),),
        path=work / "index",
        pages=PageSettings(),
        pdf=PdfSettings(ocr="off"),
        sparse=SparseSettings(),
        pieces=PieceSettings(encoder=Looks()),
    )
    clock, used = time.perf_counter(), cpu_seconds()
    index.prepare(lambda *step: None)
    read = cpu_seconds() - used
    for passage in index.select(Filter.parse({"field": "page", "at_least": 1}, "bench"), count):
        image = Page.of(passage).image
        if image is not None:
            image.png()
    total = cpu_seconds() - used
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "cpu a page": total / count,
        "cpu a page without full pictures": read / count,
        "wall a page": (time.perf_counter() - clock) / count,
        "peak MB": peak / 1024,
    }


def searching(work: Path, rounds: int) -> dict[str, float]:
    """Search 1,000 pages of 700 vectors, and multiply the same matrices without anything else."""
    dice = np.random.default_rng(0)
    settings = PieceSettings(encoder=Looks())
    with ListsWriter(work / "visual", {"vectors": settings.precision}) as writer:
        for _ in range(10):
            block = dice.standard_normal((100 * VECTORS, DIMENSION), np.float32)
            writer.add(np.full(100, VECTORS, np.int32), {"vectors": block.astype(np.float16)})
    index = MultiVectorIndex(work / "visual", settings)
    query = dice.standard_normal((TOKENS, DIMENSION), np.float32)
    ready = [dice.standard_normal((100 * VECTORS, DIMENSION), np.float32) for _ in range(2)]

    def bare() -> None:
        for number in range(10):
            ready[number % 2] @ query.T

    index.search([query], 10)
    seconds = interleave({"search": lambda: index.search([query], 10), "bare": bare}, rounds)
    return {"ratio": ratio(seconds["search"], seconds["bare"]), "seconds a query": float(np.median(seconds["search"]))}


if __name__ == "__main__":
    main()
