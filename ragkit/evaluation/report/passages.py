"""The texts of passages, each once however many questions it belongs to."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.report.pack import dump

_PLACE = ("source", "document", "page")


class Passages:
    """Passages by id, in the order in which questions come to them; neighbours so land in the same block.

    Args:
        further: rows of `passages.jsonl`: passages that no prediction holds, because a stage dropped them or because
            they stand beside a cited one.
    """

    def __init__(self, further: Iterable[Mapping[str, Any]] = ()) -> None:
        self._further = {row["id"]: row for row in further}
        self.texts: dict[str, str] = {name: row["text"] for name, row in self._further.items()}
        self._kept: dict[str, bytes] = {}

    def take(self, prediction: PredictionRow, seen: Iterable[str]) -> None:
        """Keep the passages of a question: those of its prediction, and those that its stages saw and dropped."""
        for passage in prediction["documents"]:
            self._keep(passage)
        for identifier in seen:
            if identifier in self._further:
                self._keep(self._further[identifier])

    def _keep(self, passage: Mapping[str, Any]) -> None:
        if passage["id"] not in self._kept:
            place = {key: passage[key] for key in _PLACE if passage.get(key) is not None}
            self._kept[passage["id"]] = dump(place | {"id": passage["id"], "text": passage["text"]})

    def take_all(self) -> None:
        """Keep the passages that no question has taken."""
        for passage in self._further.values():
            self._keep(passage)

    def ids(self) -> list[str]:
        """Return the ids in order."""
        return list(self._kept)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept.values())
