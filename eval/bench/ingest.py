"""Pages per second of reading and cutting PDFs, against plain PyMuPDF; memory of a 1,000-page file.

    python eval/bench/ingest.py --data DIR

Plain PyMuPDF is `get_text()` of every page in one process. ragkit reads, cuts and writes the passages in worker
processes, starting them included; "text only" is the reader with tables, figures, headings and running lines off.
"""

import argparse
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pymupdf
from common import Target, interleave, ratio, table, write_result

from ragkit.documents import Chunking, IngestReport, PdfSettings, SourceFile, discover
from ragkit.documents.ingest import IngestSettings, ingest

TEXT_ONLY = PdfSettings(tables=False, figures=False, headings=False, drop_running=False, ocr="off")
FULL = PdfSettings(ocr="off")
PLAIN = "plain get_text, 1 process"
WORDS = ("soil", "water", "wheat", "maize", "season", "depth", "furrow", "harvest", "storage", "moisture", "nitrogen")


def plain(files: list[SourceFile]) -> int:
    """Return the number of pages that PyMuPDF could read the text of."""
    pages = 0
    for file in files:
        with pymupdf.open(file.path) as pdf:
            for page in pdf:
                page.get_text()
                pages += 1
    return pages


def read(files: list[SourceFile], settings: PdfSettings, workers: int) -> IngestReport:
    report = IngestReport()
    work = Path(tempfile.mkdtemp())
    try:
        limits = IngestSettings(workers=workers)
        for _ in ingest(files, settings, Chunking(), work, report, settings=limits):
            pass
    finally:
        shutil.rmtree(work)
    return report


def timed(cpu: dict[str, list[float]], name: str, contender: Callable[[], object]) -> Callable[[], None]:
    """Let a contender also note the seconds that it and its workers kept a core busy."""

    def used() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def run() -> None:
        before = used()
        contender()
        cpu.setdefault(name, []).append(used() - before)

    return run


def write_long_file(path: Path, pages: int) -> None:
    """Write a PDF of many pages with about 450 words each and a table on every tenth."""
    dice = random.Random(0)
    with pymupdf.open() as pdf:
        for number in range(pages):
            page = pdf.new_page()
            text = f"Page {number}. " + ". ".join(" ".join(dice.choices(WORDS, k=12)).capitalize() for _ in range(36))
            page.insert_textbox((50, 50, 540, 620), text, fontsize=10)
            for cell in range(12) if number % 10 == 0 else ():
                x, y = 50 + 120 * (cell % 4), 640 + 30 * (cell // 4)
                page.draw_rect((x, y, x + 120, y + 30))
                page.insert_text((x + 5, y + 20), f"{dice.randrange(1000)} mm")
        pdf.save(path, deflate=True)


def memory(path: Path) -> None:
    """Print the peak memory in MB of reading one file: of this process and of its worker."""
    read([SourceFile(path, path.name)], FULL, 1)
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps(peaks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a folder with PDF files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pages", type=int, default=1000, help="pages of the file whose memory is measured")
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        memory(args.memory_of)
        return
    files = discover(["*.pdf"], args.data)
    pages = plain(files)  # also fills the cache of the file system
    cpu: dict[str, list[float]] = {}
    contenders = {PLAIN: timed(cpu, PLAIN, lambda: plain(files))}
    for name, settings in (("text only", TEXT_ONLY), ("full", FULL)):
        for workers in (1, 2):
            label = f"{name}, {workers} workers"
            contenders[label] = timed(cpu, label, lambda s=settings, w=workers: read(files, s, w))
    seconds = interleave(contenders, args.rounds)
    ratios = {name: ratio(seconds[PLAIN], times) for name, times in seconds.items()}
    per_core = {name: ratio(cpu[PLAIN], times) for name, times in cpu.items()}
    rows = [("reading", "pages/s", "of plain", "of plain, per second of a core")]
    rows += [
        (name, f"{pages / statistics.median(times):.0f}", f"{ratios[name]:.2f}", f"{per_core[name]:.2f}")
        for name, times in seconds.items()
    ]
    print(f"{len(files)} files, {pages} pages\n" + table(rows))
    report = read(files, FULL, 2)
    print(report)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.pdf"
        write_long_file(path, args.pages)
        command = [sys.executable, __file__, "--data", str(args.data), "--memory-of", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        own, worker = json.loads(done.stdout)
        size = path.stat().st_size / 2**20
    print(f"{args.pages} pages ({size:.1f} MB): at most {worker:.0f} MB in the worker, {own:.0f} MB in the caller")
    numbers = {
        "files": len(files),
        "pages": pages,
        "passages": report.passages,
        "skipped": len(report.skipped),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "of_plain": ratios,
        "of_plain_per_core": per_core,
        "long_file": {"pages": args.pages, "megabytes": size, "worker_peak_mb": worker, "caller_peak_mb": own},
    }
    targets = [
        Target("text only, of plain get_text per core", per_core["text only, 1 workers"], 0.8),
        Target(
            "2 workers of 1, text only", ratio(seconds["text only, 1 workers"], seconds["text only, 2 workers"]), 1.5
        ),
        Target("2 workers of 1, full", ratio(seconds["full, 1 workers"], seconds["full, 2 workers"]), 1.5),
        Target("MB of memory for a 1,000-page file in the worker", worker, 600, "below"),
    ]
    kept = {"rounds": args.rounds, "pages": args.pages}
    own_sizes = kept == {name: parser.get_default(name) for name in kept}
    write_result("ingest", kept | {"data": args.data.name}, numbers, targets, full=own_sizes)


if __name__ == "__main__":
    main()
