"""Questions with good and bad fragments of context: the pools that mixtures are made of.

Source: the Poisoned Context Testbed of Oppugno-Rushi/RW-Steering (arXiv 2509.04500); ragkit reads any set of its form.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ragkit.errors import InputError
from ragkit.evaluation.evidence import holds_answer
from ragkit.evaluation.metrics.answers import normalise
from ragkit.evaluation.question_sets import QuestionSet, set_folder, set_questions
from ragkit.evaluation.questions import Question, describe_problem, numbered_lines, parse_json

BAD_IDS = ("inappropriate_ids", "poison_ids", "counterfactual_ids")
WRONG_ANSWERS = ("wrong_answer", "incorrect_answer", "fake_answer")
PRIVATE = "privacy"
"""The type of questions whose bad fragments are true, but not to be told."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A question with its fragments.

    Attributes:
        id: the question's.
        type: of what kind its bad fragments are.
        question: its text.
        gold: the right answer.
        wrong: what an answer says that follows the bad fragments: the set's own wrong answer, or the first of them.
        clean: good fragments, all different.
        bad: inappropriate fragments, all different.
    """

    id: str
    type: str
    question: str
    gold: str
    wrong: str
    clean: tuple[str, ...]
    bad: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """The samples of a set.

    Attributes:
        samples: those that mixtures can be made of.
        left_out: how many questions were left out, by the reason.
    """

    samples: tuple[Sample, ...]
    left_out: dict[str, int]


def read_pool(name: str, own: QuestionSet, data: Path | None, *, needs_bad: bool = True) -> Pool:
    """Read a set: a corpus of fragments, and questions that name theirs by id.

    A question's good fragments are its `supporting_ids`; the bad ones stand under `inappropriate_ids`, `poison_ids` or
    `counterfactual_ids`, and a wrong answer, if the set has one, under `wrong_answer`, `incorrect_answer` or
    `fake_answer`.

    Args:
        name: of the set.
        own: its files.
        data: the folder of sets that name none of their own.
        needs_bad: whether questions without a bad fragment are left out.

    Raises:
        InputError: files are missing or wrong, or no question can be used.
    """
    folder = set_folder(name, own, data)
    questions = set_questions(name, own, folder)
    wanted = {fragment for question in questions for fragment in (*question.supporting_ids, *bad_ids(question))}
    texts: dict[str, str] = {}
    for pattern in own.documents:
        files = sorted(folder.glob(pattern))
        if not files:
            raise InputError(f"set '{name}': there is no file {folder / pattern}")
        for file in files:
            texts |= _texts(file, wanted)
    pool = pool_of(questions, texts, needs_bad=needs_bad)
    if not pool.samples:
        reasons = ", ".join(f"{count} {reason}" for reason, count in pool.left_out.items())
        raise InputError(f"set '{name}': no question can be used for mixtures ({reasons})")
    return pool


def _texts(file: Path, wanted: set[str]) -> dict[str, str]:
    found = {}
    for number, line in numbered_lines(file):
        try:
            row = parse_json(line)
            if row["id"] in wanted:
                found[row["id"]] = str(row["text"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{file}:{number}: is no fragment: {describe_problem(error)}") from None  # type: ignore[arg-type]
    return found


def bad_ids(question: Question) -> tuple[str, ...]:
    """Return the ids of a question's bad fragments."""
    return tuple(str(name) for key in BAD_IDS for name in question.extra.get(key, ()))


def pool_of(questions: Iterable[Question], texts: Mapping[str, str], *, needs_bad: bool = True) -> Pool:
    """Return the samples of questions whose fragments' texts are known.

    The labels of real sets are noisy: bad fragments that hold the right answer word for word, or that are good ones at
    the same time, are left out, and so are questions that have no good or no bad fragment then, or no answer.
    """
    samples, left_out = [], dict[str, int]()

    def leave_out(reason: str) -> None:
        left_out[reason] = left_out.get(reason, 0) + 1

    for question in questions:
        clean = _different(texts, question.supporting_ids)
        bad = [text for text in _different(texts, bad_ids(question)) if text not in clean]
        if not question.answers:
            leave_out("without a right answer")
            continue
        gold = question.answers[0]
        if question.type != PRIVATE:
            bad = [text for text in bad if not holds_answer([text], [gold])]
        if not clean:
            leave_out("without a good fragment")
        elif needs_bad and not bad:
            leave_out("without a bad fragment")
        else:
            wrong = next((str(question.extra[key]) for key in WRONG_ANSWERS if question.extra.get(key)), (*bad, "")[0])
            samples.append(Sample(question.id, question.type, question.question, gold, wrong, tuple(clean), tuple(bad)))
    return Pool(tuple(samples), left_out)


def _different(texts: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Return the texts of ids in one line each, without repeats of what is the same after normalisation."""
    found: dict[str, str] = {}
    for name in names:
        if name in texts and (text := " ".join(texts[name].split())):
            found.setdefault(normalise(text), text)
    return list(found.values())


def sample_row(sample: Sample) -> dict[str, Any]:
    """Return what of a sample is kept with results: never the texts of its bad fragments."""
    return {"id": sample.id, "type": sample.type}
