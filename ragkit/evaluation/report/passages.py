"""The texts of passages, each once however many questions it belongs to."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.report.pack import dump

_PLACE = ("source", "document", "page")


class Passages:
    """Passages by id, in the order in which questions come to them; neighbours so land in the same block.

    Args:
        dropped: rows of `passages.jsonl`: passages that predictions do not hold, because a stage dropped them.
    """

    def __init__(self, dropped: Iterable[Mapping[str, Any]] = ()) -> None:
        self._dropped = {row["id"]: row for row in dropped}
        self.texts: dict[str, str] = {name: row["text"] for name, row in self._dropped.items()}
        self._kept: dict[str, bytes] = {}

    def take(self, prediction: PredictionRow, seen: Iterable[str]) -> None:
        """Keep the passages of a question: those of its prediction, and those that its stages saw and dropped."""
        for passage in prediction["documents"]:
            self._keep(passage)
        for identifier in seen:
            if identifier in self._dropped:
                self._keep(self._dropped[identifier])

    def _keep(self, passage: Mapping[str, Any]) -> None:
        if passage["id"] not in self._kept:
            place = {key: passage[key] for key in _PLACE if passage.get(key) is not None}
            self._kept[passage["id"]] = dump(place | {"id": passage["id"], "text": passage["text"]})

    def ids(self) -> list[str]:
        """Return the ids in order."""
        return list(self._kept)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._kept.values())
