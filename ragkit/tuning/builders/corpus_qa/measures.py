"""How good questions and answers are: by counting, by vectors, and by a language model's grades.

Source: Balaguer et al. 2024, RAG vs Fine-tuning: Pipelines, Tradeoffs, and a Case Study on Agriculture,
arXiv 2401.08406, the measures of questions and answers. What differs: grades of 1 to 5 are given as 0 to 1, as in
ragkit's judges; diversity is the distance of sentence vectors, in the place of the word mover's distance, which would
need word vectors and an optimal transport for each pair of questions.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ragkit.evaluation.judges.grading import Mode, ask, quoted_list
from ragkit.evaluation.metrics.answers import normalise
from ragkit.models.base import LanguageModel
from ragkit.prompts import quoted
from ragkit.tuning.builders.corpus_qa.pairs import Pair

QUESTION_GRADES = ("relevance", "global_relevance", "coverage", "fluency")
ANSWER_GRADES = ("coherence", "answer_relevance", "groundedness")

QUESTION_GRADED = ("question", "text", "measure", "grades", "mode")
ANSWER_GRADED = ("question", "answer", "measure", "grades", "mode")
GROUNDEDNESS_GRADED = ("question", "answer", "passages", "grades", "mode")

_GRADES = ("1", "2", "3", "4", "5")
_VALUES = {grade: rank / (len(_GRADES) - 1) for rank, grade in enumerate(_GRADES)}
_REPLY_TOKENS = 120
_WORD = re.compile(r"\w+")
# Half a count for a word that one of two texts lacks (Jeffreys).
_UNSEEN = 0.5


def overlap(question: str, text: str) -> float:
    """Return the Kullback-Leibler divergence of a question's words from those of its source, in nats.

    Both distributions are over the words of either text, with half a count added to each. The smaller, the more of the
    question is taken over from the text.
    """
    asked, source = Counter(_words(question)), Counter(_words(text))
    words = asked.keys() | source.keys()
    if not words:
        return 0.0
    divergence = 0.0
    for word in sorted(words):
        p = (asked[word] + _UNSEEN) / (asked.total() + _UNSEEN * len(words))
        q = (source[word] + _UNSEEN) / (source.total() + _UNSEEN * len(words))
        divergence += p * math.log(p / q)
    return divergence


def support(answer: str, passages: Iterable[str]) -> float:
    """Return the share of an answer's words, normalised as by `em`, that are in the passages it was read from.

    Unlike a grade, it asks no model; a small one cannot tell whether an answer is grounded.
    """
    words = normalise(answer).split()
    known = {word for passage in passages for word in normalise(passage).split()}
    return sum(word in known for word in words) / len(words) if words else 0.0


def distances(vectors: Sequence[NDArray[np.float32]]) -> list[float]:
    """Return the mean cosine distance of each vector to all others; 0 of a single one."""
    if len(vectors) < 2:
        return [0.0] * len(vectors)
    unit = unit_vectors(vectors)
    others = unit.sum(axis=0)[None] - unit
    return [float(value) for value in 1 - (unit * others).sum(axis=1) / (len(unit) - 1)]


def repetitions(vectors: Sequence[NDArray[np.float32]], most: float) -> list[bool]:
    """Say which vectors have a cosine above `most` with one before them that is no repetition itself."""
    unit = unit_vectors(vectors)
    kept: list[int] = []
    found = []
    for number, vector in enumerate(unit):
        again = bool(kept) and float((unit[kept] @ vector).max()) > most
        found.append(again)
        if not again:
            kept.append(number)
    return found


def unit_vectors(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float64]:
    """Return vectors of length 1, shape (vectors, dimension); one without direction stays 0."""
    stacked = np.stack(vectors).astype(np.float64) if vectors else np.zeros((0, 1))
    lengths = np.linalg.norm(stacked, axis=1, keepdims=True)
    return stacked / np.where(lengths > 0, lengths, 1)


class Grader:
    """A language model that grades questions and answers.

    Args:
        model: who grades.
        question_prompt: what asks for the grades of questions.
        answer_prompt: what asks for the grades of answers, but for groundedness.
        groundedness_prompt: what asks how far passages support an answer.
        mode: how the model answers.
    """

    def __init__(
        self, model: LanguageModel, question_prompt: str, answer_prompt: str, groundedness_prompt: str, mode: Mode
    ) -> None:
        self._model = model
        self._prompts = (question_prompt, answer_prompt, groundedness_prompt)
        self._mode = mode

    async def question(self, pair: Pair, measure: str) -> float:
        """Return the grade of a question, 0 to 1; global relevance is graded without the text.

        Raises:
            RagkitError: the reply broke its schema, or the model tells no probabilities.
        """
        text = None if measure == "global_relevance" else quoted(" ".join(pair.section.text.split()))
        return await self._grade(self._prompts[0], measure=measure, question=quoted(pair.question), text=text)

    async def answer(self, pair: Pair, measure: str) -> float:
        """Return the grade of an answer, 0 to 1.

        Raises:
            RagkitError: the reply broke its schema, or the model tells no probabilities.
        """
        texts = {"question": quoted(pair.question), "answer": quoted(pair.answer)}
        if measure == "groundedness":
            passages = quoted_list(" ".join(passage.page_content.split()) for passage in pair.passages)
            return await self._grade(self._prompts[2], passages=passages, **texts)
        return await self._grade(self._prompts[1], measure=measure, **texts)

    async def _grade(self, prompt: str, **texts: object) -> float:
        return (await ask(self._model, prompt, _GRADES, self._mode, _REPLY_TOKENS, **texts)).expected(_VALUES)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
