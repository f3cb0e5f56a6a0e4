"""Question sets: questions with the documents that they are asked about, and pipelines over them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from ragkit.engine.component import Component
from ragkit.engine.nodes import Node
from ragkit.errors import InputError
from ragkit.evaluation.datasets import load_questions
from ragkit.evaluation.questions import Question
from ragkit.pipeline import Pipeline
from ragkit.settings import MetricName


class QuestionSet(Component):
    """Questions and the documents that they are asked about."""

    folder: str | None = Field(
        None, description="where its files are; by default the folder of the set's name below --data"
    )
    documents: tuple[str, ...] = Field(min_length=1, description="files or globs of the corpus, in the folder")
    questions: str | tuple[str, ...] = Field(
        description="one file or several of the folder; `beir:`, `flashrag:` and `hf:` as in a pipeline"
    )
    task: Literal["answers", "ranking"] = Field(
        "answers", description="what is judged; for a ranking, the steps after the retrieval are left out"
    )
    metrics: tuple[MetricName, ...] | None = Field(None, description="instead of the suite's")
    limit: int | None = Field(None, ge=1, description="only the first so many questions")
    split: Literal["question", "document"] = Field(
        "question",
        description="of `ragkit tune`: what is held out, questions or whole documents with all questions about them",
    )


def set_folder(name: str, own: QuestionSet, data: Path | None) -> Path:
    """Return the folder of a set's files.

    Args:
        name: the set's.
        own: the set.
        data: the folder that holds a folder for each set that names none of its own.

    Raises:
        InputError: there is no such folder, or nobody says which.
    """
    if own.folder is not None:
        folder = Path(own.folder)
    elif data is not None:
        folder = data / name
    else:
        raise InputError(f"set '{name}': say with --data which folder holds '{name}/', or give the set a 'folder'")
    if not folder.is_dir():
        raise InputError(f"set '{name}': there is no folder {folder}")
    return folder


def set_questions(name: str, own: QuestionSet, folder: Path) -> list[Question]:
    """Return the questions of a set from all its files.

    Raises:
        InputError: a file is missing or wrong, or two questions have one id.
    """
    sources = (own.questions,) if isinstance(own.questions, str) else own.questions
    questions = [question for source in sources for question in load_questions(_within(folder, source))]
    if len({question.id for question in questions}) < len(questions):
        raise InputError(f"set '{name}': a question id is in two of the files {', '.join(sources)}")
    return questions


def _within(folder: Path, source: str) -> str:
    form, colon, place = source.partition(":")
    if not colon:
        return str(folder / source)
    return source if form == "hf" else f"{form}:{folder / place}"


def pipeline_over(file: str | Path, own: QuestionSet, folder: Path, overrides: Sequence[str] = ()) -> Pipeline:
    """Load a pipeline whose index, if it has one, is built from a set's documents.

    Raises:
        InputError: the pipeline file or an override is wrong.
    """
    if Pipeline.load(file, overrides).index is None:
        return Pipeline.load(file, overrides)
    documents = [f"index.documents={json.dumps(own.documents)}", f"index.base={json.dumps(str(folder))}"]
    return Pipeline.load(file, [*overrides, *documents])


def ranking_only(pipeline: Pipeline) -> Pipeline:
    """Return a pipeline up to the last step that writes `documents`."""
    nodes: list[Node] = list(pipeline.nodes)
    while "documents" not in nodes[-1].written():
        nodes.pop()
    return Pipeline(nodes, name=pipeline.name, models=pipeline.models, index=pipeline.index, run=pipeline.settings)
