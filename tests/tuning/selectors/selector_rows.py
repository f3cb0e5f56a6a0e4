"""Rows to select from."""

from pathlib import Path

from ragkit.models.base import Message
from ragkit.tuning.data import BuildContext
from ragkit.tuning.rows import SftRow


def row(question: str, completion: str, **origin) -> SftRow:
    turns = [Message(role="system", content="Answer."), Message(role="user", content=f"Question: {question}")]
    return SftRow(prompt=turns, completion=completion, origin={"question": question, **origin})


def context(folder: Path) -> BuildContext:
    return BuildContext({}, "reader", 0, folder, lambda *_: None)
