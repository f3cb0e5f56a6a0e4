"""A small corpus in which questions have two golden passages each, and a scripted reader over it."""

import contextlib
import json
import re
from pathlib import Path

from ragkit import Pipeline
from ragkit.evaluation.questions import Question
from ragkit.index import LocalIndex, SparseSettings
from ragkit.models import ScriptedModel
from ragkit.stages import AnswerRead, RetrieveSparse
from ragkit.tuning.data import BuildContext, TuningSet

CROPS = {"wheat": "14 percent", "maize": "15 percent", "barley": "13 percent", "oats": "12 percent"}
ROWS = [
    row
    for crop, moisture in CROPS.items()
    for row in (
        {"id": f"{crop}-moisture", "text": f"The {crop} of the store is kept at {moisture} in silo {crop.upper()}."},
        {"id": f"{crop}-store", "text": f"The store of {crop} has a silo that is named {crop.upper()}."},
        {"id": f"{crop}-1", "text": f"{crop} is a crop of the store."},
        {"id": f"{crop}-2", "text": f"{crop} is sown early near the store."},
    )
]
QUESTIONS = [
    Question(crop, f"At what moisture is {crop} kept in the store?", (moisture,), (f"{crop}-moisture", f"{crop}-store"))
    for crop, moisture in CROPS.items()
]
NUMBERED = re.compile(r"^\[(\d+)\] \((.*?)\)\n(.*)$", re.MULTILINE)


def numbers_of(prompt: str) -> dict[str, int]:
    """Return the number of each passage of a prompt, by id."""
    ids = {row["text"]: row["id"] for row in ROWS}
    return {ids[text]: int(number) for number, _, text in NUMBERED.findall(prompt)}


def crop_of(prompt: str) -> str:
    """Return the crop that a prompt asks for."""
    found = re.search(r"At what moisture is (\w+) kept", prompt)
    assert found is not None
    return found[1]


def farm(folder: Path, reply, rows=ROWS, reader=None, **settings) -> Pipeline:
    """Return a pipeline over the corpus whose reader answers by a function, or is another model."""
    file = folder / "crops.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    index = LocalIndex(documents=[str(file)], sparse=SparseSettings())
    reader = reader or ScriptedModel(reply=reply)
    pipeline = Pipeline(
        [RetrieveSparse(index=index, k=2), AnswerRead(model=reader, **settings)], models={"reader": reader}
    )
    pipeline.prepare()
    return pipeline


def context(folder: Path, pipeline: Pipeline, questions=QUESTIONS, seed: int = 0) -> BuildContext:
    """Return a build's context with one set, all of whose questions are training questions."""

    def opener(part):
        return contextlib.nullcontext(TuningSet("crops", pipeline, questions if part == "train" else []))

    return BuildContext({"crops": opener}, "reader", seed, folder, lambda *_: None)


def last_turn(row) -> str:
    """Return the user's turn of a row's prompt."""
    return row.prompt[-1]["content"]
