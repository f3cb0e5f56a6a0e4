"""Builds the field guides: draws charts and photographs, compiles the PDFs and resolves the questions' gold pages.

Usage: python corpora/fieldguide/build.py [--only DOC]
Needs: typst, matplotlib, numpy, pillow, pymupdf, pyyaml.  Unchanged sources give byte-identical files.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pymupdf
import typst
import yaml
from PIL import Image

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "sources"
BUILD = SOURCES / "build"
sys.path.insert(0, str(SOURCES))

from charts import draw_chart  # noqa: E402
from photos import draw_photo  # noqa: E402

SCANNED = {"safety-notice"}
TYPES = ("text", "table", "figure", "two-page", "unanswerable")
GOLD_PAGES = {"two-page": 2, "unanswerable": 0}  # every other type: 1
TIMESTAMP = 1767225600  # 2026-01-01T00:00:00Z
PDF_DATE = "D:20260101000000Z"


class BuildError(Exception):
    """A fault in the sources that the author has to mend."""


def draw_pictures(doc: str) -> None:
    """Draw every chart and photo that the document uses, where its file is missing or older than its sources."""
    text = (SOURCES / f"{doc}.typ").read_text(encoding="utf-8")
    kinds: dict[str, Callable[[Path, Path], None]] = {"chart": draw_chart, "photo": draw_photo}
    for kind, name in re.findall(r'#?\b(chart|photo)\(\s*"([^"]+)"', text):
        source, script = SOURCES / f"{kind}s" / f"{name}.yaml", SOURCES / f"{kind}s.py"
        target = BUILD / f"{name}.{'png' if kind == 'chart' else 'jpg'}"
        if not source.exists():
            raise BuildError(f"{doc}: {kind} {name!r}: there is no {source.relative_to(HERE)}")
        if not target.exists() or target.stat().st_mtime < max(source.stat().st_mtime, script.stat().st_mtime):
            try:
                kinds[kind](source, target)
            except Exception as error:
                raise BuildError(f"{source.relative_to(HERE)}: {error!r}") from error


def compile_pdf(doc: str) -> None:
    """Compile the document into the build folder, and write the PDF to publish beside this script."""
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    try:
        data = typst.compile(
            str(SOURCES / f"{doc}.typ"), root=str(SOURCES), font_paths=[str(fonts)], ignore_system_fonts=True,
            format="pdf", timestamp=TIMESTAMP,
        )  # fmt: skip
    except typst.TypstError as error:
        raise BuildError(f"{doc}.typ: {error}") from error
    (BUILD / f"{doc}.pdf").write_bytes(data)
    (HERE / f"{doc}.pdf").write_bytes(scan(data, doc) if doc in SCANNED else data)


def scan(data: bytes, doc: str) -> bytes:
    """The PDF as a scanner would give it: grey, slightly askew, noisy JPEG pages without a text layer."""
    rng = np.random.default_rng(7)
    out = pymupdf.open()
    with pymupdf.open(stream=data, filetype="pdf") as source:
        for page in source:
            pixels = page.get_pixmap(dpi=130, colorspace=pymupdf.csGRAY)
            picture = Image.frombytes("L", (pixels.width, pixels.height), pixels.samples)
            angle = float(rng.uniform(0.15, 0.45)) * (1 if rng.random() < 0.5 else -1)
            picture = picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=250)
            grey = np.asarray(picture, dtype=float) * 0.95 + 6 + rng.normal(0, 2.5, (pixels.height, pixels.width))
            jpeg = io.BytesIO()
            Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).save(jpeg, "JPEG", quality=60, optimize=True)
            sheet = out.new_page(width=page.rect.width, height=page.rect.height)
            sheet.insert_image(sheet.rect, stream=jpeg.getvalue())
        title, author = source.metadata["title"], source.metadata["author"]
    out.set_metadata({"title": title, "author": author, "creationDate": PDF_DATE, "modDate": PDF_DATE, "producer": doc})
    return out.tobytes(garbage=3, deflate=True, no_new_id=True)


def normalise(text: str) -> str:
    """Text for searching: compatibility forms, lower case, plain quotes, and no white space and hyphens at all."""
    text = unicodedata.normalize("NFKC", text).replace("\u00ad", "").translate({0x2010: "-", 0x2011: "-"})
    text = text.translate({0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0x2212: "-", 0x2013: "-"})
    return re.sub(r"[\s-]+", "", text).lower()


def page_texts(doc: str) -> list[str]:
    """The normalised text of every page, from the PDF with a text layer."""
    path = BUILD / f"{doc}.pdf"
    if not path.exists():
        raise BuildError(f"document {doc!r} is not built yet; build it first with --only {doc}")
    with pymupdf.open(path) as pdf:
        return [normalise(page.get_text()) for page in pdf]


def gold_page(doc: str, question_id: str, phrase: str, docs: set[str], texts: dict[str, list[str]]) -> str:
    """The one page that bears the phrase, as "<doc>.pdf#p<page>"; "other-doc: phrase" looks into another document."""
    head, colon, tail = phrase.partition(":")
    place, wanted = (head.strip(), tail.strip()) if colon and head.strip() in docs else (doc, phrase)
    if place not in texts:
        texts[place] = page_texts(place)
    pages = [number for number, text in enumerate(texts[place], 1) if normalise(wanted) in text]
    if len(pages) != 1:
        raise BuildError(f"{doc}.yaml: {question_id}: evidence {phrase!r} is on pages {pages} of {place}, not on one")
    return f"{place}.pdf#p{pages[0]}"


def read_questions(doc: str, docs: set[str], texts: dict[str, list[str]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The document's rows for questions.jsonl, and what is wrong with its questions."""
    source = SOURCES / "questions" / f"{doc}.yaml"
    rows: list[dict[str, Any]] = []
    faults: list[str] = []
    try:
        entries = yaml.safe_load(source.read_text(encoding="utf-8")) or [] if source.exists() else []
    except yaml.YAMLError as error:
        return rows, [f"{doc}.yaml: {error}"]
    for entry in entries:
        try:
            kind, evidence = entry["type"], entry["evidence"]
            answers = [str(answer) for answer in entry.get("answers") or []]
            if kind not in TYPES:
                raise BuildError(f"{doc}.yaml: {entry['id']}: unknown type {kind!r}")
            if len(evidence) != GOLD_PAGES.get(kind, 1) or bool(answers) == (kind == "unanswerable"):
                raise BuildError(f"{doc}.yaml: {entry['id']}: wrong number of answers or evidence phrases for {kind}")
            pages = [gold_page(doc, entry["id"], str(phrase), docs, texts) for phrase in evidence]
            if len(set(pages)) != len(pages):
                raise BuildError(f"{doc}.yaml: {entry['id']}: both evidence phrases are on {pages[0]}")
        except BuildError as error:
            faults.append(str(error))
            continue
        except (KeyError, TypeError) as error:
            faults.append(f"{doc}.yaml: {entry}: {error!r}")
            continue
        row = {"id": entry["id"], "question": entry["question"], "answers": answers, "supporting_ids": pages}
        rows.append({**row, "type": kind, "answerable": kind != "unanswerable", "doc": f"{doc}.pdf"})
    return rows, faults


def main() -> int:
    """Build everything, or one document; without --only, write questions.jsonl and the list in README.md too."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="DOC", help="build and check this document, without questions.jsonl")
    only: str | None = parser.parse_args().only
    BUILD.mkdir(exist_ok=True)
    docs = sorted(path.stem for path in SOURCES.glob("*.typ") if path.stem != "template")
    if only and only not in docs:
        parser.error(f"no such document: {only} (there are: {', '.join(docs)})")
    chosen = [only] if only else docs
    faults: list[str] = []
    for doc in chosen:
        try:
            draw_pictures(doc)
            compile_pdf(doc)
        except BuildError as error:
            faults.append(str(error))
    rows: list[dict[str, Any]] = []
    texts: dict[str, list[str]] = {}
    for doc in chosen:
        try:
            found, wrong = read_questions(doc, set(docs), texts)
        except BuildError as error:
            found, wrong = [], [str(error)]
        rows += found
        faults += wrong
    faults += [f"id {name!r} is used {n} times" for name, n in Counter(row["id"] for row in rows).items() if n > 1]
    summary(chosen, rows)
    if faults:
        print(*(f"error: {fault}" for fault in faults), sep="\n", file=sys.stderr)
        return 1
    if not only:
        rows.sort(key=lambda row: row["id"])
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (HERE / "questions.jsonl").write_text(lines, encoding="utf-8")
        list_documents(docs, rows)
    return 0


def summary(docs: list[str], rows: list[dict[str, Any]]) -> None:
    """Print pages, bytes and the number of questions by type for every document, and the totals."""
    print(f"{'document':28}{'pages':>6}{'bytes':>10}" + "".join(f"{kind:>13}" for kind in TYPES))
    total: Counter[str] = Counter()
    for doc in docs:
        path = HERE / f"{doc}.pdf"
        if not path.exists():
            print(f"{doc:28}  not built")
            continue
        with pymupdf.open(path) as pdf:
            pages = len(pdf)
        count = Counter(row["type"] for row in rows if row["doc"] == f"{doc}.pdf")
        print(f"{doc:28}{pages:6}{path.stat().st_size:10}" + "".join(f"{count[kind]:13}" for kind in TYPES))
        total.update(count, pages=pages, bytes=path.stat().st_size)
    print(f"{'total':28}{total['pages']:6}{total['bytes']:10}" + "".join(f"{total[kind]:13}" for kind in TYPES))


def list_documents(docs: list[str], rows: list[dict[str, Any]]) -> None:
    """Put the table of documents, read from the PDFs, between the two marks of README.md."""
    table = ["| File | Title | Pages | Questions |", "|---|---|---:|---:|"]
    for doc in docs:
        with pymupdf.open(HERE / f"{doc}.pdf") as pdf:
            title, pages = pdf.metadata["title"], len(pdf)
        count = sum(row["doc"] == f"{doc}.pdf" for row in rows)
        scanned = ", image only" if doc in SCANNED else ""
        table.append(f"| [{doc}.pdf]({doc}.pdf) | {title}{scanned} | {pages} | {count} |")
    path = HERE / "README.md"
    head, mark, rest = path.read_text(encoding="utf-8").partition("<!-- documents -->\n")
    end = "<!-- end of documents -->"
    path.write_text(head + mark + "\n".join(table) + "\n" + end + rest.partition(end)[2], encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
