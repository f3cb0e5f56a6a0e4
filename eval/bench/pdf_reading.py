"""What reading PDFs costs beside PyMuPDF's own `page.get_text()`, in the same process, on one core.

Plain mode (tables, figures, headings and running lines off) gives the text in reading order with boxes; full mode is
the default. OCR is off: it would be compared with nothing. Both corpora are read in every round.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from common import ROOT, Target, interleave, ratio, table, write_result

from ragkit.documents import IngestReport, SourceFile, Unreadable
from ragkit.documents.pdf import READER, PdfSettings, read_pdf

PLAIN = PdfSettings(tables=False, figures=False, headings=False, drop_running=False, ocr="off")
FULL = PdfSettings(ocr="off")
ROUNDS = 7


def raw(paths: Sequence[Path]) -> int:
    """Read with PyMuPDF alone; return the number of pages."""
    import pymupdf

    pages = 0
    for path in paths:
        with pymupdf.open(path) as pdf:
            for page in pdf:
                page.get_text()
                pages += 1
    return pages


def reader(paths: Sequence[Path], settings: PdfSettings) -> Callable[[], IngestReport]:
    """Return a call that reads the files with ragkit."""

    def read() -> IngestReport:
        report = IngestReport()
        for path in paths:
            try:
                list(read_pdf(SourceFile(path, path.name), report, settings))
            except Unreadable as reason:
                report.skip(path.name, str(reason))
        return report

    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of further PDFs")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    corpora = {
        "pdfs": sorted(args.data.glob("*.pdf")),
        "fieldguide": sorted((ROOT / "corpora" / "fieldguide").glob("*.pdf")),
    }
    numbers: dict[str, object] = {}
    rows = [("corpus", "pages", "get_text, pages/s", "plain", "full", "plain/get_text", "full/get_text")]
    targets = []
    for name, paths in corpora.items():
        pages = raw(paths)
        report = reader(paths, FULL)()
        seconds = interleave(
            {"get_text": lambda p=paths: raw(p), "plain": reader(paths, PLAIN), "full": reader(paths, FULL)},
            args.rounds,
        )
        plain, full = ratio(seconds["get_text"], seconds["plain"]), ratio(seconds["get_text"], seconds["full"])
        speeds = {contender: pages / sorted(times)[len(times) // 2] for contender, times in seconds.items()}
        rows.append(
            (
                name,
                str(pages),
                *(f"{speeds[c]:.0f}" for c in ("get_text", "plain", "full")),
                f"{plain:.2f}",
                f"{full:.3f}",
            )
        )
        numbers[name] = {
            "files": len(paths),
            "pages": pages,
            "tables": report.tables,
            "figures": report.figures,
            "scanned_pages": sum(map(len, report.scanned.values())),
            "seconds": seconds,
            "pages_per_second": speeds,
            "plain_over_get_text": plain,
            "full_over_get_text": full,
        }
        targets.append(Target(f"plain text, share of get_text's speed ({name})", plain, 0.8))
    print(table(rows))
    # The path is the user's own.
    sys.argv = [sys.argv[0], "--data", "PDFS"]
    write_result("pdf_reading", {"rounds": args.rounds, "reader": READER}, numbers, targets, full=args.rounds == ROUNDS)


if __name__ == "__main__":
    main()
