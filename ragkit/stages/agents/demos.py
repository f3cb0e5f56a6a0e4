"""Demonstrations in an agent's prompt: single steps of runs that went well, from a file that tuning writes."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from ragkit.engine.component import Component
from ragkit.errors import InputError


class Demo(Component):
    """One step: what the agent saw, and what it wrote."""

    question: str = Field(min_length=1, description="the question")
    trajectory: str = Field(description="what was done so far, as the agent saw it")
    completion: str = Field(min_length=1, description="what it wrote")


_DEMOS = TypeAdapter(tuple[Demo, ...])


def read_demos(path: str) -> tuple[Demo, ...]:
    """Return the demonstrations of a file, or of `demos.json` in a folder.

    Raises:
        InputError: there is no such file, or it holds something else.
    """
    file = Path(path)
    file = file / "demos.json" if file.is_dir() else file
    try:
        return _parsed(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: demonstrations cannot be read: {error}") from None


@lru_cache(maxsize=32)
def _parsed(text: str, file: str) -> tuple[Demo, ...]:
    try:
        return _DEMOS.validate_json(text)
    except ValidationError as error:
        raise InputError(f"{file}: holds no demonstrations: {error.errors()[0]['msg']}") from None


def dump_demos(demos: Sequence[Demo]) -> str:
    """Return demonstrations as the text of a file."""
    return json.dumps([demo.model_dump() for demo in demos], indent=1, ensure_ascii=False) + "\n"
