"""The passages of a file in a file of their own: written while the file is read, read again one document at a time."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from ragkit.documents.chunking import Chunking, cut
from ragkit.documents.document import ChunkedDocument, IngestReport, SourceDocument, SourceFile, Unreadable
from ragkit.documents.loading import PDF, read_file, suffix_of
from ragkit.documents.page_settings import PageFolders
from ragkit.documents.pdf import PdfSettings
from ragkit.engine.state import Passage
from ragkit.errors import RagkitError

_NO_MEMORY = re.compile(r"alloc\b.*failed|out of memory|cannot allocate", re.IGNORECASE)
_REASON = 300


class Cut(NamedTuple):
    """A document of a shard: its id and what it was cut into."""

    id: str
    chunked: ChunkedDocument


def write_shard(
    path: Path,
    file: SourceFile,
    digest: str,
    pdf: PdfSettings,
    chunking: Chunking,
    *,
    spare: bool = False,
    pages: PageFolders | None = None,
) -> str | None:
    """Read and cut a file, and write what comes out of it; the shard is there when it is whole, and not before.

    Args:
        path: where the shard goes.
        file: the file to read.
        digest: its SHA-256.
        pdf: what is read from a PDF.
        chunking: where passages end.
        spare: whether a page that memory does not suffice for is left out if others can be read.
        pages: keeps the pages of a PDF, each as a passage; in a folder of the shard's name.

    Returns:
        Why there is no shard; None if there is one, be it with nothing but a report of what is wrong with the file.

    Raises:
        MemoryError: the file needs more memory than there is.
        RagkitError: a package is missing.
        OSError: the shard cannot be written.
    """
    report = IngestReport(files=1)
    unfinished = path.with_suffix(".part")
    found = 0
    with unfinished.open("w", encoding="ascii") as shard:
        paged = pages is not None and suffix_of(file.path) == PDF
        found_documents = (
            _pages(file, report, pdf, pages, path.stem) if pages and paged else _documents(file, report, pdf, chunking)
        )
        for name, chunked in found_documents:
            found += 1
            row = [name, *([_row(passage) for passage in part] for part in chunked)]
            shard.write(json.dumps(row) + "\n")
        shard.write(json.dumps(asdict(report)) + "\n")
    if any(_NO_MEMORY.search(reason) for _, reason in report.skipped) and not (found and spare):
        raise MemoryError
    try:
        changed = hash_file(file.path) != digest
    except OSError:
        changed = True
    if changed:
        return "it changed while it was read"
    unfinished.replace(path)
    return None


def _documents(
    file: SourceFile, report: IngestReport, pdf: PdfSettings, chunking: Chunking
) -> Iterator[tuple[str, ChunkedDocument]]:
    try:
        for document in read_file(file, report, pdf):
            chunked = cut(document, chunking)
            _count(document, report)
            yield document.id, chunked
    except (RagkitError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a file does to its reader is a reason to skip that file
        report.skip(file.id, _failure(error))


def _pages(
    file: SourceFile, report: IngestReport, pdf: PdfSettings, pages: PageFolders, name: str
) -> Iterator[tuple[str, ChunkedDocument]]:
    """Read a PDF as pages and keep them in a folder."""
    from ragkit.documents.page_reading import as_passages, read_pages

    try:
        read = read_pages(file, report, pdf, pages.settings)
        read.document.save(pages.folder / name)
    except Unreadable as reason:
        report.skip(file.id, str(reason))
        return
    except (RagkitError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a file does to its reader is a reason to skip that file
        report.skip(file.id, _failure(error))
        return
    for page in read.document.pages:
        kinds = [one.category for one in page.objects]
        report.tables += kinds.count("table")
        report.figures += kinds.count("figure")
    yield file.id, as_passages(read, name)


def _failure(error: Exception) -> str:
    text = " ".join(str(error).split())[:_REASON]
    return f"the reader failed ({type(error).__name__}{': ' if text else ''}{text})"


def read_shard(path: Path, report: IngestReport) -> Iterator[Cut]:
    """Return the documents of a shard in order; what its reader reported is added to the report at the end."""
    with path.open(encoding="ascii") as shard:
        for line in shard:
            row = json.loads(line)
            if isinstance(row, dict):
                report.add(IngestReport.from_dict(row))
            else:
                name, *parts = row
                yield Cut(name, ChunkedDocument(*(tuple(_passage(*entry) for entry in part) for part in parts)))


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _count(document: SourceDocument, report: IngestReport) -> None:
    kinds = [block.kind for page in document.pages for block in page.blocks]
    report.tables += kinds.count("table")
    report.figures += kinds.count("figure")


def _row(passage: Passage) -> list[Any]:
    return [passage.id, passage.page_content, passage.metadata]


def _passage(name: str, text: str, metadata: dict[str, Any]) -> Passage:
    return Passage(id=name, page_content=text, metadata=metadata)
