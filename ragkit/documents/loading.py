"""Find the files of a corpus and read them, whatever their format."""

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ragkit.documents.document import UNKNOWN_FORMAT, IngestReport, SourceDocument, SourceFile, Unreadable
from ragkit.documents.html import read_html
from ragkit.documents.markdown import read_markdown
from ragkit.documents.pdf import PdfSettings, read_pdf
from ragkit.documents.rows import read_rows
from ragkit.documents.text import clean, read_text
from ragkit.errors import InputError

Reader = Callable[[SourceFile, IngestReport], Iterable[SourceDocument]]

READERS: dict[str, Reader] = {
    ".txt": read_text,
    ".md": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".jsonl": read_rows,
    ".jsonl.gz": read_rows,
}
PDF = ".pdf"
READER = 3
"""Version of what the readers of text, Markdown, HTML and JSONL return; `ragkit.documents.pdf` has its own."""


def discover(patterns: Sequence[str], base: Path) -> list[SourceFile]:
    """Return the files that match any of the patterns, sorted, each once.

    Args:
        patterns: file names or globs (`**` crosses folders), absolute or relative to `base`.
        base: the folder that relative patterns start from.

    Raises:
        InputError: a pattern matches no file.
    """
    paths: set[Path] = set()
    for pattern in patterns:
        found = _matches(str(Path(pattern).expanduser()), base)
        if not found:
            hint = f"; it is a folder, try '{pattern.rstrip('/')}/*'" if (base / pattern).is_dir() else ""
            raise InputError(f"documents: '{pattern}' matches no file under {base.resolve()}{hint}")
        paths |= found
    if not paths:
        raise InputError("documents: no file is named")
    root = os.path.commonpath([path.parent for path in paths])
    # A file reached by several names (a link to a folder above itself makes many) counts once, under its shortest.
    unique = {path.resolve(): path for path in sorted(paths, key=lambda path: (len(path.parts), path), reverse=True)}
    # Names that are not UTF-8 hold lone surrogates, which no index can store.
    return [SourceFile(path, clean(path.relative_to(root).as_posix())) for path in sorted(unique.values())]


def _matches(pattern: str, base: Path) -> set[Path]:
    names = [pattern] if (base / pattern).is_file() else glob.glob(pattern, root_dir=base, recursive=True)  # noqa: PTH207 - skips hidden files
    # Not Path.resolve: a corpus of symbolic links keeps its own names.
    return {Path(os.path.normpath(base.absolute() / name)) for name in names if (base / name).is_file()}


def read_file(file: SourceFile, report: IngestReport, pdf: PdfSettings) -> Iterator[SourceDocument]:
    """Read the documents of a file, in this process; what cannot be read is noted in the report.

    Args:
        file: the file and its id.
        report: what was counted and left out.
        pdf: what is read from a PDF.
    """
    suffix = suffix_of(file.path)
    try:
        if suffix == PDF:
            yield from read_pdf(file, report, pdf)
        elif suffix in READERS:
            yield from READERS[suffix](file, report)
        else:
            report.skip(file.id, f"{UNKNOWN_FORMAT} '{suffix}' (known: {', '.join([PDF, *READERS])})")
    except Unreadable as reason:
        report.skip(file.id, str(reason))
    except OSError as error:
        report.skip(file.id, error.strerror or str(error))


def suffix_of(path: Path) -> str:
    """Return the suffix that tells a file's format, in small letters: `.pdf`, `.jsonl.gz`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return "".join(suffixes[-2:]) if suffixes[-1:] == [".gz"] else "".join(suffixes[-1:])
