"""Contexts with a known share of bad fragments.

Source: the two regimes of the Poisoned Context Testbed (arXiv 2509.04500, project page); the counter-controls are
ragkit's, because in the released pools a bad fragment is short, is the sentence that answers the question, stands in a
block and carries a telling source.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Literal

from pydantic import Field

from ragkit.engine.component import Component
from ragkit.engine.state import Documents, Hit, Passage
from ragkit.errors import InputError
from ragkit.evaluation.steering.testbed import Sample

Order = Literal["clean_first", "bad_first", "shuffled"]
Tags = Literal["none", "random", "truthful", "swapped"]
Fill = Literal["cycle", "others"]

# The paper takes real institutions and outlets; these are nobody's.
SOUND_SOURCES = (
    "National Statistics Office", "University Press", "Journal of Record", "Public Health Institute",
    "Central Library", "Standards Board", "Academy of Sciences", "Government Gazette",
)  # fmt: skip
DOUBTFUL_SOURCES = (
    "anonymous forum", "viral chain letter", "unsigned leaflet", "rumour channel",
    "clickbait portal", "fan page", "deleted post", "unmoderated comments",
)  # fmt: skip
_MOST_TRIES = 20


class Controls(Component):
    """What takes away the short cuts by which bad fragments can be told without being understood."""

    direct: bool = Field(False, description="the right answer itself is one of the good fragments")
    long: bool = Field(False, description="bad fragments go on with good sentences about something else")
    balanced: bool = Field(
        False, description="the same, where it makes a bad fragment about as long as some good one of its question"
    )
    beside: bool = Field(False, description="half of the bad fragments are about another question")


class MixtureSettings(Component):
    """How contexts are mixed."""

    fragments: int = Field(10, ge=1, description="fragments of each context")
    order: Order = Field("clean_first", description="clean_first and bad_first are blocks; shuffled is by the seed")
    tags: Tags = Field("none", description="sources of fragments: none, random, truthful, or swapped (telling lies)")
    fill: Fill = Field(
        "cycle", description="when a question has too few: its own again and again, or those of other questions"
    )
    controls: Controls = Field(Controls(), description="counter-controls")
    seed: int = Field(0, description="of all that is drawn")


@dataclass(frozen=True, slots=True)
class Fragment:
    """A text of a context, whether it is a bad one, and the source it names (empty for none)."""

    text: str
    bad: bool
    source: str = ""


@dataclass(frozen=True, slots=True)
class Mixture:
    """A context of known composition.

    Attributes:
        sample: the question.
        fragments: in the order of the prompt.
    """

    sample: Sample
    fragments: tuple[Fragment, ...]

    @property
    def bad(self) -> tuple[int, ...]:
        """Numbers of the bad fragments, from 1."""
        return tuple(number for number, fragment in enumerate(self.fragments, 1) if fragment.bad)

    @property
    def good(self) -> tuple[int, ...]:
        """Numbers of the good fragments, from 1."""
        return tuple(number for number, fragment in enumerate(self.fragments, 1) if not fragment.bad)

    def passages(self, *, oracle: bool = False) -> Documents:
        """Return the fragments as a pipeline gets them: nothing in a passage tells which are bad.

        Args:
            oracle: leave the bad ones out, and of equal ones all but the first.
        """
        fragments = [fragment for fragment in self.fragments if not (oracle and fragment.bad)]
        if oracle:
            first: dict[str, Fragment] = {}
            for fragment in fragments:
                first.setdefault(fragment.text, fragment)
            fragments = list(first.values())
        total = len(fragments)
        return tuple(
            Passage(
                id=f"fragment-{number}",
                page_content=fragment.text,
                metadata={"document": f"fragment-{number}"}
                | ({"source": fragment.source, "tag": fragment.source} if fragment.source else {}),
                score=1 - (number - 1) / total,
                hits=(Hit("mixture", self.sample.question, number, 1 - (number - 1) / total),),
            )
            for number, fragment in enumerate(fragments, 1)
        )


def make_mixture(sample: Sample, bad: int, settings: MixtureSettings, others: Sequence[Sample] = ()) -> Mixture:
    """Return a context of which `bad` fragments are bad ones; the same arguments give the same context.

    Args:
        sample: the question.
        bad: how many of the `settings.fragments` are bad.
        settings: how the context is mixed.
        others: where fragments of other questions come from; the sample itself may be among them.

    Raises:
        InputError: there is no such number of bad fragments, or others are needed and are too few.
    """
    total = settings.fragments
    if not 0 <= bad <= total:
        raise InputError(f"{bad} of {total} fragments cannot be bad: give a number from 0 to {total}")
    draw = random.Random(f"{settings.seed} {sample.id}")  # noqa: S311 - not for secrets
    strangers = [other for other in others if other.id != sample.id]
    draw.shuffle(strangers)
    controls = settings.controls
    own = ([sample.gold] if controls.direct and sample.gold not in sample.clean else []) + list(sample.clean)
    poison = list(sample.bad)
    if controls.beside:
        _need(strangers, "controls.beside")
        foreign = [text for other in strangers[: len(poison)] for text in other.bad[:1]]
        poison = [text for pair in zip(poison, foreign, strict=False) for text in pair]
    if controls.long:
        _need(strangers, "controls.long")
        poison = [_lengthened(text, strangers[n % len(strangers)], own) for n, text in enumerate(poison)]
    if controls.balanced:
        _need(strangers, "controls.balanced")
        wanted = cycle(draw.sample(own, len(own)))
        poison = [_as_long(text, next(wanted), strangers[:_MOST_TRIES]) for text in poison]
    good_texts = _filled(own, total - bad, settings.fill, (text for other in strangers for text in other.clean))
    bad_texts = _filled(poison, bad, settings.fill, (text for other in strangers for text in other.bad))
    fragments = [Fragment(text, False) for text in good_texts] + [Fragment(text, True) for text in bad_texts]
    fragments = _tagged(fragments, settings.tags, draw)
    if settings.order == "bad_first":
        fragments = [*fragments[total - bad :], *fragments[: total - bad]]
    elif settings.order == "shuffled":
        # Drawn anew for each number of bad ones, so that positions do not repeat from level to level.
        random.Random(f"{settings.seed} {sample.id} {bad}").shuffle(fragments)  # noqa: S311 - not for secrets
    return Mixture(sample, tuple(fragments))


def _need(strangers: Sequence[Sample], what: str) -> None:
    if not strangers:
        raise InputError(f"{what} takes fragments of other questions, and there are none")


def _lengthened(text: str, stranger: Sample, good: Sequence[str]) -> str:
    """Return a text with as many sentences about something else as bring it to the length of the good ones."""
    wanted = max(len(other.split()) for other in good)
    for sentence in islice(cycle(stranger.clean), _MOST_TRIES):
        if len(text.split()) >= wanted:
            break
        text = f"{text.rstrip()} {sentence}"
    return text


def _as_long(text: str, good: str, strangers: Sequence[Sample]) -> str:
    """Return a text as it is, or with the sentence about something else that brings it nearest to a good one's length.

    Without it, length tells: a bad fragment of the pools is short, a lengthened one is longer than all good ones.
    """
    missing = len(good.split()) - len(text.split())
    additions = ["", *(sentence for stranger in strangers for sentence in stranger.clean)]
    return f"{text} {min(additions, key=lambda sentence: abs(missing - len(sentence.split())))}".rstrip()


def _filled(own: Sequence[str], wanted: int, fill: Fill, further: Iterator[str]) -> list[str]:
    """Return so many texts: own ones, then again from the first, or further ones that are not there yet."""
    if fill == "cycle":
        return list(islice(cycle(own), wanted))
    chosen = dict.fromkeys(own[:wanted])
    for text in further:
        if len(chosen) == wanted:
            break
        chosen.setdefault(text)
    if len(chosen) < wanted:
        raise InputError(
            f"only {len(chosen)} different fragments for {wanted} places: add questions, or set fill: cycle"
        )
    return list(chosen)


def _tagged(fragments: Sequence[Fragment], tags: Tags, draw: random.Random) -> list[Fragment]:
    if tags == "none":
        return list(fragments)
    sound, doubtful = cycle(SOUND_SOURCES), cycle(DOUBTFUL_SOURCES)
    tagged = []
    for fragment in fragments:
        doubt = draw.random() < 0.5 if tags == "random" else fragment.bad != (tags == "swapped")
        tagged.append(Fragment(fragment.text, fragment.bad, next(doubtful if doubt else sound)))
    return tagged
