"""Replies to false posts as data sets have them: TSV, CSV or JSON Lines."""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from ragkit.errors import InputError
from ragkit.evaluation.split import Part, part_of

_POST, _REPLY, _KEY = (
    ("post", "claim", "tweet", "misinformation"),
    ("response", "reply"),
    ("tweet_id", "claim_id", "id"),
)
NO_REPLY, TWICE = "without a reply", "given twice"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to a post.

    Attributes:
        key: names the post; replies to one post share it, and belong to one part of the data.
        post: what it says; empty where the set does not tell.
        text: the reply.
    """

    key: str
    post: str
    text: str


@dataclass(frozen=True, slots=True)
class Replies:
    """What a file holds, and how many of its rows were left out and why."""

    rows: tuple[Reply, ...]
    left_out: dict[str, int]

    def in_part(self, part: Part) -> list[Reply]:
        """Return the replies to posts of a part: by the post alone, so that none is in two parts."""
        return [reply for reply in self.rows if part_of(reply.key) == part]


def read_replies(path: Path) -> Replies:
    """Read replies: `post<TAB>reply` lines (.tsv), the same quoted (.csv), or objects (.jsonl), also gzipped.

    Blank lines are passed over. A row without a reply, and one that says the same of the same post as an earlier one,
    are left out and counted. A first line of a table that names its columns is not a row. In a TSV, quotation marks
    are text; in a CSV they hold commas and line breaks together.

    Raises:
        InputError: the file cannot be read, or a line is of another form.
    """
    name = path.name.removesuffix(".gz")
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    if name.endswith(".jsonl"):
        found = _objects(path, text)
    elif name.endswith((".tsv", ".csv")):
        found = _table(path, text, "\t" if name.endswith(".tsv") else ",")
    else:
        raise InputError(f"{path}: replies are read from .tsv, .csv or .jsonl files (or these with .gz)")
    rows: dict[Reply, None] = {}
    left_out: Counter[str] = Counter()
    for reply in found:
        if not reply.text:
            left_out[NO_REPLY] += 1
        elif reply in rows:
            left_out[TWICE] += 1
        else:
            rows[reply] = None
    return Replies(tuple(rows), dict(left_out))


def _table(path: Path, text: str, delimiter: str) -> Iterator[Reply]:
    quoting: Literal[0, 3] = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    try:
        for number, fields in enumerate(reader):
            cells = [field.strip() for field in fields]
            if not any(cells) or (number == 0 and cells[0].casefold() in _POST):
                continue
            if len(cells) > 2:
                raise InputError(f"{path}:{reader.line_num}: has {len(cells)} columns, not a post and a reply")
            post, reply = (*cells, "")[:2]
            yield Reply(post, post, reply)
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}") from None


def _objects(path: Path, text: str) -> Iterator[Reply]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: must be an object with a reply")
        post = _field(row, _POST)
        yield Reply(_field(row, _KEY) or post, post, _field(row, _REPLY))


def _field(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(row[name]).strip() for name in names if row.get(name)), "")
