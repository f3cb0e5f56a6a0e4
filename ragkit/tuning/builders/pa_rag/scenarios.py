"""Which documents stand in a prompt, and in what order: PA-RAG's tiers of document quality and its scenarios."""

import hashlib
import random
from dataclasses import dataclass
from typing import Literal

from ragkit.engine.state import Documents, Passage

Mode = Literal["golden", "golden+noise", "subgolden", "subgolden+noise", "no_golden"]
MOST_GOLDEN = 5
_KEPT = (0, 1, 1, 1, 2, 2)
"""How many of 0 to 5 golden passages stay in a `subgolden` prompt."""


@dataclass(frozen=True, slots=True)
class Tiers:
    """The passages of a question by what they are worth.

    Attributes:
        golden: those that answer it, at most 5, the best ranked first.
        relevant: found for it, but without an answer.
        irrelevant: found for another question.
    """

    golden: Documents
    relevant: Documents
    irrelevant: Documents


def documents_for(mode: Mode, tiers: Tiers, seed: int, question: str) -> Documents:
    """Return the passages of a prompt in their order; it depends on nothing but the arguments.

    Golden passages keep their order in every scenario. Noise, the relevant and irrelevant passages, is put in one by
    one at places drawn evenly. `subgolden` leaves out all but one of up to three golden passages and all but two of
    more. `no_golden`, the noise alone, is ragkit's own scenario for abstention.

    Args:
        mode: the scenario.
        tiers: the question's passages.
        seed: of the training.
        question: the question's id.
    """
    own_kind, _, noisy = mode.partition("+")
    draw = draw_for(seed, question, own_kind)
    noise = [*tiers.irrelevant, *tiers.relevant]
    if mode == "no_golden":
        draw.shuffle(noise)
        return tuple(noise)
    documents: list[Passage] = list(tiers.golden[:MOST_GOLDEN])
    if own_kind == "subgolden":
        kept = sorted(draw.sample(range(len(documents)), _KEPT[len(documents)]))
        documents = [documents[position] for position in kept]
    if noisy:
        places = draw_for(seed, question, mode)
        for passage in noise:
            documents.insert(places.randint(0, len(documents)), passage)
    return tuple(documents)


def draw_for(seed: int, question: str, purpose: str) -> random.Random:
    """Return a generator of random numbers of a question's own, whatever other questions there are."""
    digest = hashlib.sha256(f"{seed}\n{question}\n{purpose}".encode()).digest()
    return random.Random(int.from_bytes(digest[:8]))  # noqa: S311 - no secret
