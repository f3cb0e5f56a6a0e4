"""Pictures of the pages that answers cite, small enough to travel inside the report."""

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ragkit.evaluation.prediction import PredictionRow

DPI = 80


class Pictures:
    """Pages as PNG pictures, drawn one after the other while the report is written.

    Args:
        files: the PDF of each document, by the document's id.
        cited: document id and page (from 1) of the pages to show.
    """

    def __init__(self, files: Mapping[str, Path], cited: Iterable[tuple[str, int]]) -> None:
        self._files = files
        self._pages = [page for page in dict.fromkeys(cited) if page[0] in files]

    def keys(self) -> dict[str, Any]:
        return {}

    def __iter__(self) -> Iterator[str]:
        return iter(())
