"""A run is a folder: its settings, its predictions as they finish, its trace. Whatever happens, it can go on."""

import json
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Self

import yaml

from ragkit.engine.calls import QuestionContext
from ragkit.engine.held_folder import held_folder
from ragkit.engine.jsonl import dump_line, load_line
from ragkit.engine.run import Prediction, passage_row
from ragkit.engine.state import Passage
from ragkit.engine.trace import Trace, to_jsonable
from ragkit.errors import InputError

_LOG = logging.getLogger(__name__)

LOCK_FILE = "run.lock.yaml"
PREDICTIONS = "predictions.jsonl"
TRACE = "trace.jsonl"
PASSAGES = "passages.jsonl"


class RunFolder:
    """The folder of one run; a context manager that holds it against other processes.

    A line of `predictions.jsonl` is written whole when its question finishes. On resuming, finished questions are
    read back; a line that a kill cut short and questions that failed are run again. `passages.jsonl` holds, each once,
    the passages that a stage wrote and a later one dropped: predictions hold the texts of the final ranking only.

    Raises:
        InputError: another process writes to the folder, or it holds a run with other settings.
    """

    def __init__(self, path: Path, lock: Mapping[str, Any]) -> None:
        self.path = path
        self.lock = json.loads(json.dumps(lock))
        self.finished: dict[str, bytes] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as self._stack:  # closed again if the start fails
            self._stack.enter_context(held_folder(self.path, "run"))
            self._start()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self) -> None:
        lock_file = self.path / LOCK_FILE
        if lock_file.exists():
            try:
                before = yaml.safe_load(lock_file.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise InputError(f"{lock_file}: the file is damaged: {' '.join(str(error).split())}") from None
            if differing := list(differences(before, self.lock)):
                changes = "\n".join(f"  {name}: {old!r} then, {new!r} now" for name, old, new in differing[:10])
                raise InputError(
                    f"{self.path}: holds a run with other settings, so it cannot go on with these:\n{changes}\n"
                    "Choose another folder with --out (what was answered before comes from the cache), "
                    "or use the settings of that run."
                )
        else:
            replace_file(lock_file, yaml.safe_dump(self.lock, sort_keys=False, allow_unicode=True, width=120))
        for name in (PREDICTIONS, TRACE, PASSAGES):
            trim(self.path / name)
        rows = read_lines(self.path / PREDICTIONS)
        kept = [row for row in rows if isinstance(row, dict) and {"id", "error"} <= row.keys() and row["error"] is None]
        self.finished = {row["id"]: dump_line(row) for row in kept}
        replace_file(self.path / PREDICTIONS, b"".join(self.finished.values()))
        self._predictions = self._append_to(PREDICTIONS)
        self._trace = self._append_to(TRACE)
        self._texts = {row["id"] for row in read_lines(self.path / PASSAGES)}
        self._passages = self._append_to(PASSAGES)

    def _append_to(self, name: str) -> IO[bytes]:
        return self._stack.enter_context((self.path / name).open("ab"))

    def add(self, prediction: Prediction, context: QuestionContext) -> None:
        """Write down a question that finished."""
        line = dump_line(prediction.to_row(), to_jsonable)
        if prediction.trace is not None:
            self._keep_dropped(prediction, prediction.trace)
            self._trace.write(prediction.trace.to_json(context))
            self._trace.flush()  # before the prediction: a question that counts as finished has its trace
        self._predictions.write(line)
        self._predictions.flush()
        self.finished[prediction.id] = line

    def _keep_dropped(self, prediction: Prediction, trace: Trace) -> None:
        """Write down the passages that stages handed on and the final ranking lacks."""
        final = {passage.id for passage in prediction.documents}
        for event in trace.events:
            for value in event.wrote.values():
                if not (isinstance(value, (list, tuple)) and value and isinstance(value[0], Passage)):
                    continue
                for passage in value:
                    if passage.id not in final and passage.id not in self._texts:
                        self._texts.add(passage.id)
                        self._passages.write(dump_line(passage_row(passage)))
        self._passages.flush()

    def finish(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Put the predictions into the order of the questions, in the file too, and return them."""
        self._predictions.close()
        self._passages.close()
        lines = [self.finished[question_id] for question_id in ids]
        replace_file(self.path / PREDICTIONS, b"".join(lines))
        return [load_line(line) for line in lines]


def trim(path: Path) -> None:
    """Remove a last line that a kill cut short."""
    if path.exists():
        with path.open("rb+") as file:
            data = file.read()
            file.truncate(data.rfind(b"\n") + 1)


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSONL file; a missing file is empty, a damaged line is left out with a warning."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield load_line(line)
            except ValueError as error:
                _LOG.warning("%s:%d: the line is damaged (%s) and left out", path, number, error)


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Say of a file that is read inside and is not of the form that this version writes, what to do about it.

    Raises:
        InputError: something that should be in it is missing or of another kind.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError) as error:
        what = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: written by another version of ragkit, or damaged ({what}); run the pipeline again into another "
            "folder with --out: what was answered before comes from the cache"
        ) from error


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader, or a kill, sees the old text or the new one and nothing between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)  # not the temporary one, of which nobody knows
        raise


def differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield the dotted names whose values differ, with both values."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            yield from differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, pair in enumerate(zip(before, now, strict=True)):
            yield from differences(*pair, f"{name}[{number}]")
    elif before != now:
        yield name, before, now
