"""How many cells of the field guide's tables come out of the PDF as they are printed.

The truth is `tests/documents/fieldguide_tables.json`: 24 tables (every fifth of those that the guides' sources write
without formulas), each compared by eye with the rendered page. A cell counts if the same row and column of the
extracted table holds the same text; width of spaces and Unicode spelling aside. The interval is a bootstrap over the
tables, because the cells of one table stand or fall together.
"""

import argparse
import json
import random
import re
import sys
import time
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common import ROOT, Target, write_result

from ragkit.documents import IngestReport, SourceFile
from ragkit.documents.pdf import READER, PdfSettings, read_pdf

TRUTH = ROOT / "tests" / "documents" / "fieldguide_tables.json"
_CELLS = re.compile(r"(?<!\\)\|")


def plain(text: str) -> str:
    """Return a text without what cannot be seen: spaces, and which of the apostrophes it is."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text).replace("\u2019", "'"))


def parse(markdown: str) -> list[list[str]]:
    """Return the cells of a Markdown table, head row first."""
    lines = [line for line in markdown.split("\n") if line.startswith("|")]
    rows = [[cell.strip().replace("\\|", "|") for cell in _CELLS.split(line)[1:-1]] for line in lines]
    return rows[:1] + rows[2:]


def score(truth: Sequence[Sequence[str]], found: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return (cells that are right, cells)."""
    right = sum(
        row < len(found) and column < len(found[row]) and plain(found[row][column]) == plain(cell)
        for row, cells in enumerate(truth)
        for column, cell in enumerate(cells)
    )
    return right, sum(map(len, truth))


def score_all(folder: Path) -> list[dict[str, Any]]:
    """Score every table of the truth; one that was not found has no right cell."""
    tables: dict[str, list[tuple[int, str]]] = {}
    results = []
    for entry in json.loads(TRUTH.read_text(encoding="utf-8")):
        name = entry["file"]
        if name not in tables:
            (document,) = read_pdf(SourceFile(folder / name, name), IngestReport(), PdfSettings(ocr="off"))
            tables[name] = [(p.number or 0, b.text) for p in document.pages for b in p.blocks if b.kind == "table"]
        found = next(
            (text for page, text in tables[name] if page == entry["page"] and plain(entry["caption"]) in plain(text)),
            "",
        )
        right, cells = score(entry["rows"], parse(found))
        results.append({"file": name, "page": entry["page"], "right": right, "cells": cells})
    return results


def interval(results: Sequence[dict[str, Any]], draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the share of right cells."""
    dice = random.Random(0)
    shares = []
    for _ in range(draws):
        sample = dice.choices(results, k=len(results))
        shares.append(sum(row["right"] for row in sample) / sum(row["cells"] for row in sample))
    shares.sort()
    return shares[int(0.025 * draws)], shares[int(0.975 * draws)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, default=ROOT / "corpora" / "fieldguide", help="folder of the PDFs")
    args = parser.parse_args()
    start = time.perf_counter()
    results = score_all(args.corpus)
    seconds = time.perf_counter() - start
    right, cells = sum(row["right"] for row in results), sum(row["cells"] for row in results)
    low, high = interval(results)
    print(f"{right} of {cells} cells of {len(results)} tables: {right / cells:.3f}, {low:.3f} to {high:.3f}")
    numbers = {
        "cell_accuracy": right / cells,
        "interval_95": [low, high],
        "tables": len(results),
        "cells": cells,
        "whole_tables": sum(row["right"] == row["cells"] for row in results),
        "seconds": seconds,
        "by_table": results,
    }
    targets = [Target("cell accuracy of the field guide's tables", right / cells, 0.95)]
    write_result(
        "pdf_tables", {"reader": READER}, numbers, targets, full=args.corpus == ROOT / "corpora" / "fieldguide"
    )


if __name__ == "__main__":
    sys.exit(main())
