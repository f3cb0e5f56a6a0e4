"""A tuning is a folder: how it began, its rows, its checkpoints, its result. It goes on only as it began."""

import json
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from ragkit.engine.held_folder import held_folder
from ragkit.engine.run_folder import differences, replace_file
from ragkit.errors import InputError

LOCK_FILE = "tuning.lock.json"
GATE_RUNS = "gate"
_SHOWN = 10


class TuningFolder:
    """The folder of one tuning; a context manager that holds it against other processes.

    Other settings of the gate are no other tuning: its runs are then made anew, from the cache where they can.

    Args:
        path: the folder.
        lock: everything that the result depends on, as plain data; its key `gate` holds what only the verdict does.
        resume: go on with what is there.

    Raises:
        InputError: another process writes to the folder, it holds another tuning, or this one and `resume` is not set.
    """

    def __init__(self, path: Path, lock: Mapping[str, Any], *, resume: bool) -> None:
        self.path = path
        self._lock: dict[str, Any] = json.loads(json.dumps(lock))
        self._resume = resume
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:  # closed again if the beginning fails
            stack.enter_context(held_folder(self.path, "tuning"))
            self._begin()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def keep_rows(self, sha256: str) -> None:
        """Note the hash of the training rows, or see that they are those that the tuning began with.

        Raises:
            InputError: they are others.
        """
        before = self._lock.setdefault("rows", sha256)
        if before != sha256:
            raise InputError(
                f"{self.path}: the training rows are no longer those that this tuning began with (the questions, "
                "documents or prompts have changed): tune into another folder with --out"
            )
        self._write()

    def _begin(self) -> None:
        file = self.path / LOCK_FILE
        if not file.exists():
            self._write()
            return
        try:
            before = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{file}: the file is damaged: {error}") from None
        rows, gate = before.pop("rows", None), before.pop("gate", None)
        now = {name: value for name, value in self._lock.items() if name != "gate"}
        if differing := list(differences(before, now)):
            changes = "\n".join(f"  {name}: {old!r} then, {new!r} now" for name, old, new in differing[:_SHOWN])
            raise InputError(
                f"{self.path}: holds another tuning, so it cannot go on with this one:\n{changes}\n"
                "Choose another folder with --out, or use the settings of that tuning."
            )
        if not self._resume:
            raise InputError(
                f"{self.path}: holds this tuning already: go on with --resume, or choose another folder with --out"
            )
        if gate != self._lock["gate"]:
            shutil.rmtree(self.path / GATE_RUNS, ignore_errors=True)
        if rows is not None:
            self._lock["rows"] = rows
        self._write()

    def _write(self) -> None:
        text = json.dumps(self._lock, indent=2, ensure_ascii=False)
        replace_file(self.path / LOCK_FILE, text + "\n")
