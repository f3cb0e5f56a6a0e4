"""What encoders make of passages where it differs in length (sparse vectors, token vectors), kept as it is made."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.batching import Outcome, execute_in_batches
from ragkit.engine.calls import LocalResource, Request
from ragkit.errors import RagkitError
from ragkit.index.lists import Columns
from ragkit.index.part import Growth
from ragkit.models.base import MultiVectorEncoder, SparseEncoder

_SHARD = 2048

ListEncoder = SparseEncoder | MultiVectorEncoder
Pack = Callable[[Sequence[Any]], tuple[Sequence[int], Columns]]
"""Turns the replies of an encoder into the length of each list and the items of all lists."""


def embed_lists(
    encoder: ListEncoder, op: str, growth: Growth, pack: Pack, layout: str
) -> Iterator[tuple[NDArray[np.int32], Columns]]:
    """Embed the passages that are new and return their lists, some thousand passages at a time.

    They are kept in `growth.work`, named by all that they depend on (the encoder's description, the layout of the
    items, the texts): a build that follows a killed one finds them, and never takes stale ones.

    Raises:
        RagkitError: the encoder failed on a passage, or does not run in this process.
    """
    described = [op, encoder.describe(), layout]
    yield from kept_lists(
        growth, _SHARD, described, lambda first, texts: pack(_embed(encoder, op, texts, first, growth))
    )


def kept_lists(
    growth: Growth, size: int, described: Sequence[Any], make: Callable[[int, list[str]], tuple[Sequence[int], Columns]]
) -> Iterator[tuple[NDArray[np.int32], Columns]]:
    """Return the lists of the passages that are new, and keep what was made in `growth.work`.

    Args:
        growth: what is new.
        size: passages that are kept together.
        described: what the lists depend on beside the texts, as JSON data.
        make: makes the lists of some passages, given the position of the first of them and their texts.
    """
    growth.work.mkdir(parents=True, exist_ok=True)
    for first, texts in growth.pieces(size):
        key = json.dumps([*described, texts], sort_keys=True)
        path = growth.work / f"lists-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz"
        if not path.exists():
            _save(path, *make(first, texts))
        growth.on_done(first - growth.start + len(texts))
        with np.load(path, allow_pickle=False) as file:
            yield file["sizes"], {name: file[name] for name in file.files if name != "sizes"}


def _embed(encoder: ListEncoder, op: str, texts: Sequence[str], first: int, growth: Growth) -> list[Any]:
    """Return the encoder's replies, None for what is empty (a deleted passage)."""
    if not isinstance(encoder, LocalResource):
        raise RagkitError(f"{type(encoder).__name__} is no LocalResource, which is what this kind of index takes")
    values: list[Any] = [None] * len(texts)
    places = [place for place, text in enumerate(texts) if text]
    done = len(texts) - len(places)

    def collect(numbers: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        nonlocal done
        for number, outcome in zip(numbers, outcomes, strict=True):
            if isinstance(outcome, Exception):
                raise RagkitError(f"the encoder failed on passage {first + places[number] + 1}: {outcome}") from outcome
            values[places[number]] = outcome.value
        done += len(numbers)
        growth.on_done(first - growth.start + done)

    requests = [Request(op, {"text": texts[place], "kind": "passage"}) for place in places]
    execute_in_batches(encoder, requests, collect)
    return values


def _save(path: Path, sizes: Sequence[int], columns: Columns) -> None:
    temporary = path.with_suffix(".partial")
    arrays: dict[str, Any] = dict(columns)
    with temporary.open("wb") as file:
        np.savez(file, sizes=np.array(sizes, np.int32), **arrays)
    temporary.replace(path)
