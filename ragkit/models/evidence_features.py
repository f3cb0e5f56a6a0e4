"""What tells the evidence among the passages of a question: similarities, shared words, and links between passages.

In a question of several hops only the first passage resembles the question. The next one is known by the first: it
bears a title that the first one names, or resembles the question and the first one together. So passages are compared
with each other, not only with the question.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ragkit.models.base import Premise

Floats = NDArray[np.float32]
Vectors = Callable[[str], Floats]
"""Returns the vector of a text, of length 1."""

FOLLOWED = 3
"""Passages that are followed: the question is asked again together with each of the likeliest ones."""

ALONE = (
    "similarity of the passage",
    "similarity of the title",
    "similarity of the best sentence",
    "similarity of the second best sentence",
    "weight of the question's words in the passage",
    "weight of the title's words in the question",
    "the whole title is in the question",
    "weight of the question's words in the title",
)
"""Features of one passage and the question."""

TOGETHER = (
    "relevance",
    "relevance below the best",
    "rank by relevance",
    "relevance of the best passage that names the title",
    "relevance of the best passage whose title is named",
    "passages that name the title",
    "passages whose title is named",
    "similarity to the best other passage",
    "weight of further words shared with the best other passage",
    "weight of the question's words that only this passage has, not the best other",
    "weight of the question's words that the best other passage lacks",
    *(f"similarity to the question with the likeliest passage {n}" for n in range(1, FOLLOWED + 1)),
    "best similarity to the question with a likely passage",
)
"""Features of one passage among the others."""

FEATURES = (*ALONE, *TOGETHER, *(f"{name}, against the others" for name in (*ALONE, *TOGETHER[-FOLLOWED - 1 :])))

_WORD = re.compile(r"\w+")
_BRACKETS = re.compile(r"\s*\([^()]*\)$")
_SHORTEST_NAME = 3
_STOPPED = (
    "a an the of in on at is are was were be been do does did has have had which who whom whose what when where why "
    "how and or to by for from that this with it its as not no"
)
_STOP_WORDS = frozenset(_STOPPED.split())


@dataclass(frozen=True, slots=True)
class WordWeights:
    """How much words tell: the logarithm of how few passages hold them.

    Attributes:
        passages: number of the passages that were counted.
        counts: how many of them hold a word; words that are held by none, or only one, are left out.
    """

    passages: int = 0
    counts: Mapping[str, int] | None = None

    @classmethod
    def of(cls, texts: Iterable[str]) -> "WordWeights":
        """Count the words of passages."""
        counts: Counter[str] = Counter()
        number = 0
        for text in texts:
            counts.update(set(words(text)))
            number += 1
        return cls(number, {word: count for word, count in sorted(counts.items()) if count > 1})

    def weight(self, word: str) -> float:
        """Return the weight of a word; 1 for each if nothing was counted."""
        if self.counts is None:
            return 1.0
        return math.log(1 + self.passages / (1 + self.counts.get(word, 1)))

    def sum(self, of: Iterable[str]) -> float:
        """Return the weight of words together, the same for the same words in any order."""
        return math.fsum(self.weight(word) for word in of)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The passages of a question.

    Attributes:
        question: the question.
        premises: the passages.
        sentences: of each passage, at least one.
    """

    question: str
    premises: tuple[Premise, ...]
    sentences: tuple[tuple[str, ...], ...]

    def texts(self) -> list[str]:
        """Return the texts whose vectors the features need first."""
        found = [self.question, *(whole(premise) for premise in self.premises)]
        found += [premise.title for premise in self.premises if premise.title]
        return found + [sentence for sentences in self.sentences for sentence in sentences]

    def follow_ups(self, vectors: Vectors, weights: WordWeights) -> list[str]:
        """Return the question together with the best sentence of each of the likeliest passages, the best first."""
        question = vectors(self.question)
        relevance = _relevance(_alone(self, vectors, weights))
        asked = []
        for number in np.argsort(-relevance, kind="stable")[:FOLLOWED]:
            sentences = self.sentences[number]
            best = int(np.argmax(np.stack([vectors(sentence) for sentence in sentences]) @ question))
            asked.append(f"{self.question} {self.premises[number].title}: {sentences[best]}")
        return asked

    def features(self, vectors: Vectors, weights: WordWeights) -> Floats:
        """Return the features of each passage, shape (passages, len(FEATURES)).

        Args:
            vectors: of `texts` and `follow_ups`.
            weights: of words.
        """
        alone = _alone(self, vectors, weights)
        together = _together(self, alone, vectors, weights)
        against = np.hstack([alone, together[:, -FOLLOWED - 1 :]])
        against = (against - against.mean(axis=0)) / (against.std(axis=0) + 1e-6)
        found: Floats = np.hstack([alone, together, against]).astype(np.float32)
        return found


def whole(premise: Premise) -> str:
    """Return a passage's title and text as one."""
    return f"{premise.title}\n{premise.text}" if premise.title else premise.text


def words(text: str) -> list[str]:
    """Return the words of a text that are no stop words, in lower case."""
    return [word for word in _WORD.findall(text.lower()) if word not in _STOP_WORDS]


def _alone(candidates: Candidates, vectors: Vectors, weights: WordWeights) -> NDArray[np.float64]:
    question = vectors(candidates.question)
    asked = set(words(candidates.question))
    total = weights.sum(asked) or 1.0
    rows = []
    for premise, sentences in zip(candidates.premises, candidates.sentences, strict=True):
        near = sorted((float(vectors(sentence) @ question) for sentence in sentences), reverse=True)
        held, name = set(words(whole(premise))), set(words(_name(premise)))
        shared = weights.sum(name & asked)
        rows.append(
            (
                float(vectors(whole(premise)) @ question),
                float(vectors(premise.title) @ question) if premise.title else 0.0,
                near[0],
                near[min(1, len(near) - 1)],
                weights.sum(asked & held) / total,
                shared / (weights.sum(name) or 1.0),
                float(names_title(candidates.question, premise)),
                shared / total,
            )
        )
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(ALONE))


def _relevance(alone: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a first guess at which passages matter: similarities and shared words added up."""
    guess: NDArray[np.float64] = alone[:, 0] + alone[:, 2] + alone[:, 4] + alone[:, 5]
    return guess


def _together(
    candidates: Candidates, alone: NDArray[np.float64], vectors: Vectors, weights: WordWeights
) -> NDArray[np.float64]:
    premises = candidates.premises
    relevance = _relevance(alone)
    order = np.argsort(-relevance, kind="stable")
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order)) / len(order)
    asked = set(words(candidates.question))
    held = [set(words(whole(premise))) for premise in premises]
    similar = np.stack([vectors(whole(premise)) for premise in premises])
    followed = _followed(candidates, similar, order, vectors, weights)
    names = np.array([[i != j and names_title(there.text, here) for j, there in enumerate(premises)]
                      for i, here in enumerate(premises)])  # fmt: skip
    rows = []
    for i in range(len(premises)):
        best = next((j for j in order if j != i), i)
        missing = asked - held[best]
        further = (held[i] & held[best]) - asked if best != i else set()
        rows.append(
            (
                relevance[i],
                relevance[i] - relevance[order[0]],
                rank[i],
                max(relevance[names[i]], default=0.0),
                max(relevance[names[:, i]], default=0.0),
                math.log1p(names[i].sum()),
                math.log1p(names[:, i].sum()),
                float(similar[i] @ similar[best]) if best != i else 0.0,
                weights.sum(further),
                weights.sum(missing & held[i]) / (weights.sum(asked) or 1.0),
                weights.sum(missing) / (weights.sum(asked) or 1.0),
                *followed[:, i],
                followed[:, i].max(),
            )
        )
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(TOGETHER))


def _followed(
    candidates: Candidates, similar: Floats, order: NDArray[np.int64], vectors: Vectors, weights: WordWeights
) -> NDArray[np.float64]:
    """Return the similarity of each follow-up to each passage; to the one that it follows, the median of the others'.

    Shape (FOLLOWED, passages). Where there are fewer passages, the last follow-up stands for the missing ones.
    """
    rows = []
    for follow_up, source in zip(candidates.follow_ups(vectors, weights), order, strict=False):
        row = (similar @ vectors(follow_up)).astype(np.float64)
        row[source] = np.median(row)
        rows.append(row)
    return np.stack([rows[min(n, len(rows) - 1)] for n in range(FOLLOWED)])


def _name(premise: Premise) -> str:
    """Return a title without what tells it from others of the name, `Ed Wood (film)`."""
    return _BRACKETS.sub("", premise.title).strip()


def names_title(text: str, premise: Premise) -> bool:
    """Say whether a text holds the title of a passage as whole words, whatever the case."""
    name = _name(premise).lower()
    if len(name) < _SHORTEST_NAME:
        return False
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text.lower()) is not None
