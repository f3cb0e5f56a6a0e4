"""Does an answer say everything? Slots of a question, each with its aliases, and which of them an answer fills."""

from collections.abc import Sequence

from ragkit.errors import InputError
from ragkit.evaluation.evidence import holds_answer
from ragkit.evaluation.questions import Question

Slots = tuple[tuple[str, ...], ...]
"""For each short answer that has to be there, its aliases."""


def slots_of(question: Question, field: str | None) -> Slots:
    """Return the slots of a question: its gold answers are aliases of one, unless a field of its row holds a list each.

    Raises:
        InputError: the field is not a list of lists of texts.
    """
    if field is None:
        return (question.answers,)
    value = question.extra.get(field)
    if not isinstance(value, list) or not all(_is_texts(slot) for slot in value) or not value:
        raise InputError(f"question '{question.id}': '{field}' is not a list with a list of aliases per short answer")
    return tuple(tuple(slot) for slot in value)


def _is_texts(slot: object) -> bool:
    return isinstance(slot, list) and bool(slot) and all(isinstance(alias, str) for alias in slot)


def filled(text: str, slots: Slots) -> list[bool]:
    """Return for each slot whether a text holds one of its aliases as whole words, normalised as by `em`."""
    return [holds_answer([text], aliases) for aliases in slots]


def is_complete(text: str, slots: Slots) -> bool:
    """Say whether a text fills every slot."""
    return all(filled(text, slots))


def cover(texts: Sequence[str], slots: Slots) -> list[int]:
    """Return the texts, by position, that fill all slots, each one chosen because it fills some that none before did.

    Greedy in order of rank; empty if not every slot is filled by any.
    """
    open_slots = set(range(len(slots)))
    chosen = []
    for position, text in enumerate(texts):
        new = {slot for slot in open_slots if filled(text, slots[slot : slot + 1])[0]}
        if new:
            chosen.append(position)
            open_slots -= new
    return [] if open_slots else chosen
