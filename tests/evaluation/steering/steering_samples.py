"""A few samples of a testbed, and the shipped one."""

from pathlib import Path

from ragkit.evaluation.question_sets import QuestionSet
from ragkit.evaluation.steering.testbed import Sample, read_pool

ROOT = Path(__file__).parents[3]
SHIPPED = QuestionSet(
    folder=str(ROOT / "corpora" / "steering"), documents=("corpus.jsonl",), questions="questions.jsonl"
)


def shipped(kind: str = "non_factual") -> list[Sample]:
    return [sample for sample in read_pool("steering", SHIPPED, None).samples if sample.type == kind]


def sample(number: int = 0) -> Sample:
    return Sample(
        id=f"q{number}",
        type="non_factual",
        question=f"What is the crop of field {number}?",
        gold=f"Field {number} bears wheat.",
        wrong=f"Field {number} bears glass.",
        clean=tuple(f"Field {number} has a long background story of part {part}." for part in "abc"),
        bad=(f"Field {number} bears glass.", f"Glass grows on field {number}."),
    )
