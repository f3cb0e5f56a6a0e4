"""The pages of an index by document, and which of them may stand beside the evidence of a question."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from ragkit.engine.state import Documents, Passage
from ragkit.errors import InputError
from ragkit.evaluation.evidence import holds_answer
from ragkit.evaluation.questions import Question
from ragkit.index.folder import PASSAGES, current_build
from ragkit.index.local import LocalIndex
from ragkit.index.store import PassageStore
from ragkit.pipeline import Pipeline

_AT_ONCE = 1000
_WORD = re.compile(r"\w+")
_SHINGLE = 3

Place = tuple[str, int]
"""Document and number of a page."""


def place_of(passage: Passage) -> Place:
    """Return where a passage stands; pages count from 1, and documents without pages have one."""
    return str(passage.metadata.get("document", passage.id)), int(passage.metadata.get("page") or 1)


class Corpus:
    """All passages of a pipeline's index by place.

    Args:
        pipeline: with an index; prepared.

    Raises:
        InputError: the index cannot be looked into.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        index = pipeline.index
        if not isinstance(index, LocalIndex):
            raise InputError("rows with distractors are made from an index of type 'local'; the pipeline has another")
        self._pages: dict[str, list[Passage]] = {}
        self._named: dict[str, list[Passage]] = {}
        store = PassageStore(current_build(index.folder) / PASSAGES)
        try:
            for start in range(0, len(store), _AT_ONCE):
                names = store.ids(range(start, min(start + _AT_ONCE, len(store))))
                known = index.passages(list(names.values()))
                for position in sorted(names):
                    self._add(known[names[position]])
        finally:
            store.close()

    def _add(self, passage: Passage) -> None:
        document, page = place_of(passage)
        self._pages.setdefault(document, []).append(passage)
        for name in {passage.id, f"{document}#p{page}", document}:
            self._named.setdefault(name, []).append(passage)

    @property
    def documents(self) -> list[str]:
        """The ids of all documents, in order."""
        return sorted(self._pages)

    def gold(self, question: Question) -> list[Passage]:
        """Return the passages of a question's gold evidence; none if a part of it is not in the index."""
        named = [self._named.get(name, []) for name in question.supporting_ids]
        return [passage for own in named for passage in own] if all(named) else []

    def of(self, documents: Iterable[str]) -> list[Passage]:
        """Return the passages of documents, in their order."""
        return [passage for document in documents for passage in self._pages.get(document, [])]


@dataclass(slots=True)
class Hygiene:
    """Which pages may be distractors, and how many could not and why.

    Attributes:
        margin: pages up to so many before and after evidence count as evidence too.
        similarity: share of three-word sequences from which on two pages count as the same.
        dropped: pages that were refused, by reason.
    """

    margin: int
    similarity: float
    dropped: dict[str, int] = field(default_factory=lambda: {"beside evidence": 0, "near-duplicate": 0, "answers": 0})

    def clean(
        self, candidates: Sequence[Passage], gold: Sequence[Passage], wanted: int, answers: Sequence[str] = ()
    ) -> Documents:
        """Return the first candidates that may be distractors, each page and each text once.

        Args:
            candidates: best first.
            gold: the evidence.
            wanted: how many.
            answers: what no distractor may hold; for rows whose evidence is absent.
        """
        taken: list[Passage] = []
        beside = {(document, page + step) for document, page in map(place_of, gold) for step in self._steps}
        seen = [shingles(passage.page_content) for passage in gold]
        ids: set[str] = {passage.id for passage in gold}
        for passage in candidates:
            if len(taken) == wanted:
                break
            if passage.id in ids:
                continue
            ids.add(passage.id)
            own = shingles(passage.page_content)
            if place_of(passage) in beside:
                self.dropped["beside evidence"] += 1
            elif any(alike(own, other) >= self.similarity for other in seen):
                self.dropped["near-duplicate"] += 1
            elif answers and holds_answer([passage.page_content], answers):
                self.dropped["answers"] += 1
            else:
                taken.append(passage)
                seen.append(own)
        return tuple(taken)

    @property
    def _steps(self) -> range:
        return range(-self.margin, self.margin + 1)


@lru_cache(maxsize=4096)
def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Return the sequences of three words of a text, case aside; of a shorter one all its words."""
    words = _WORD.findall(text.casefold())
    return frozenset(tuple(words[start : start + _SHINGLE]) for start in range(max(1, len(words) - _SHINGLE + 1)))


def alike(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    """Return the share that two sets have in common (Jaccard), 0 to 1."""
    return len(a & b) / len(a | b)
