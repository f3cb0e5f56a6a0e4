"""Texts that a run's story needs and its predictions do not hold: the rest of cited pages, and gold evidence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ragkit.engine.jsonl import dump_line
from ragkit.engine.run import passage_row
from ragkit.engine.run_folder import PASSAGES, read_lines
from ragkit.engine.state import Passage
from ragkit.evaluation.metrics.ranking import units
from ragkit.evaluation.prediction import PredictionRow
from ragkit.evaluation.questions import Question

# A gold document may be a whole book; the reader of a report needs its beginning at most.
_PIECES = 24


class Finder(Protocol):
    """What finds the passages of an index that belong to a passage, page or document."""

    def find(self, gold: Iterable[str]) -> Mapping[str, list[Passage]]:
        """Return the passages of each id, in the order of the document."""
        ...


def keep_texts(
    folder: Path, questions: Sequence[Question], predictions: Sequence[PredictionRow], evidence: Finder
) -> None:
    """Add to `passages.jsonl` what a reader of the run wants to look up: cited pages and gold evidence, each text once.

    Args:
        folder: the run's folder.
        questions: with gold.
        predictions: one for each question.
        evidence: the index.
    """
    known = {row["id"] for row in read_lines(folder / PASSAGES)}
    known.update(passage["id"] for prediction in predictions for passage in prediction["documents"])
    wanted = [*_cited_pages(predictions), *(gold for question in questions for gold in question.supporting_ids)]
    found = evidence.find(wanted)
    with (folder / PASSAGES).open("ab") as file:
        for identifier in dict.fromkeys(wanted):
            for passage in found[identifier][:_PIECES]:
                if passage.id not in known:
                    known.add(passage.id)
                    file.write(dump_line(passage_row(passage)))


def _cited_pages(predictions: Sequence[PredictionRow]) -> Iterator[str]:
    for prediction in predictions:
        cited = {citation["passage"] for citation in prediction["citations"]}
        for passage in prediction["documents"]:
            if passage["id"] in cited and passage.get("page") is not None:
                yield units(passage)[1]
