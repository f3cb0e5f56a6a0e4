"""Pictures of the pages that readers were shown and that answers cite, small enough to travel inside a report."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ragkit.documents import Unreadable, discover
from ragkit.documents.pdf.opening import opened
from ragkit.errors import InputError
from ragkit.evaluation.prediction import PredictionRow

# Enough to read a cited page by, about 100 kB, and to know any other again, about 15 kB.
DPI = 80
THUMBNAIL_DPI = 36
JPEG_QUALITY = 50


class Pictures:
    """Pages of PDFs as JPEG pictures, drawn one after the other while a report is written: those that are cited, and,
    smaller, the others that were in prompts.

    Args:
        predictions: what cites.
        files: the PDF of each document, by the document's id.
    """

    def __init__(self, predictions: Sequence[PredictionRow], files: Mapping[str, Path]) -> None:
        self._files = files
        cited = dict.fromkeys(page for row in predictions for page in _cited(row) if page[0] in files)
        shown = dict.fromkeys(page for row in predictions for page in _shown(row) if page[0] in files)
        self._dpi = dict.fromkeys(shown, THUMBNAIL_DPI) | dict.fromkeys(cited, DPI)
        self._pages = list(cited | shown)

    def keys(self) -> dict[str, Any]:
        """Return number, and size of the page in points, of each picture by its page (`<document>#p<page>`)."""
        found = {}
        for number, (document, page) in enumerate(self._pages):
            with self._opened(document, page) as opened_page:
                size = opened_page.rect
            found[f"{document}#p{page}"] = {"number": number, "width": size.width, "height": size.height}
        return found

    def __iter__(self) -> Iterator[str]:
        """Yield the pictures in base64."""
        for document, page in self._pages:
            with self._opened(document, page) as opened_page:
                picture = opened_page.get_pixmap(dpi=self._dpi[document, page]).tobytes(
                    "jpeg", jpg_quality=JPEG_QUALITY
                )
            yield base64.b64encode(picture).decode("ascii")

    @contextmanager
    def _opened(self, document: str, page: int) -> Iterator[Any]:
        path = self._files[document]
        try:
            with opened(path) as pdf:
                if page > pdf.page_count:
                    raise InputError(f"{path}: there is no page {page} any more; the file changed since the run")
                yield pdf[page - 1]
        except Unreadable as error:
            raise InputError(f"{path}: {error}; the file changed since the run") from None


def _cited(row: PredictionRow) -> Iterator[tuple[str, int]]:
    return _places(row, {citation["passage"] for citation in row["citations"]})


def _shown(row: PredictionRow) -> Iterator[tuple[str, int]]:
    return _places(row, set(row["context"]))


def _places(row: PredictionRow, ids: set[str]) -> Iterator[tuple[str, int]]:
    for passage in row["documents"]:
        document, page = passage.get("document"), passage.get("page")
        if passage["id"] in ids and document and page:
            yield document, page


def pictures_of(lock: Mapping[str, Any], predictions: Sequence[PredictionRow]) -> Pictures:
    """Return the pictures of the pages that a run shows and cites, from the documents that its lock names.

    Raises:
        InputError: the run has no index of documents, or they are not where they were.
    """
    index = lock.get("index")
    if not isinstance(index, Mapping) or "documents" not in index:
        raise InputError("--pages: the run has no index of documents whose pages could be shown")
    files = discover(index["documents"], Path(index.get("base", ".")))
    return Pictures(predictions, {file.id: file.path for file in files if file.path.suffix.lower() == ".pdf"})
