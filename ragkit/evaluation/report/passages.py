"""The texts of passages, each once however many questions it belongs to."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.report.pack import dump

_SHOWN = ("id", "source", "document", "page", "text")


class Passages:
    """Passages by number, in the order in which questions come to them; neighbours so land in the same block.

    Args:
        further: rows of `passages.jsonl`: passages that no prediction holds, because a stage dropped them or because
            they stand beside a cited one.
    """

    def __init__(self, further: Iterable[Mapping[str, Any]] = ()) -> None:
        self._further = {row["id"]: row for row in further}
        self._numbers: dict[str, int] = {}
        self._kept: list[bytes] = []
        self.texts: dict[str, str] = {name: row["text"] for name, row in self._further.items()}

    def take(self, prediction: PredictionRow) -> None:
        """Keep the passages of a prediction."""
        for passage in prediction["documents"]:
            self._keep(passage)

    def take_rest(self) -> None:
        """Keep the further passages that no question has come to."""
        for passage in self._further.values():
            self._keep(passage)

    def number(self, identifier: str) -> int:
        """Return the number of a passage; one whose text is not known is kept without a text."""
        if identifier not in self._numbers:
            self._keep(self._further.get(identifier, {"id": identifier}))
        return self._numbers[identifier]

    def _keep(self, passage: Mapping[str, Any]) -> None:
        if passage["id"] not in self._numbers:
            self._numbers[passage["id"]] = len(self._kept)
            known = {key: passage[key] for key in _SHOWN if passage.get(key) is not None}
            self._kept.append(dump(known))

    def ids(self) -> list[str]:
        """Return the ids by number."""
        return list(self._numbers)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept)
