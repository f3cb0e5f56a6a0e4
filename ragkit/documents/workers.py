"""Processes that read files, each file within a time and a memory limit, whatever it does to its reader.

They are plain child processes (`python -m ragkit.documents.worker`) that talk in lines of JSON, and not those of
`multiprocessing` or a pool on top of it: these import the user's main script again, with torch if it imports that and
without a guard with all that it does, and pickle what they pass on.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from ragkit.errors import MissingPackageError, RagkitError

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
_START_SECONDS = 120.0
_INTERRUPTED = "interrupted"


class Worker:
    """A child process that reads one file after the other; started when it is needed, and anew after it has died."""

    def __init__(self, memory: float) -> None:
        """Start nothing yet.

        Args:
            memory: GiB that reading a file may take.
        """
        self._memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._closed = False

    def read(self, task: dict[str, Any], seconds: float) -> str | None:
        """Have a file read into a shard; return why there is no shard, or None.

        Args:
            task: what `ragkit.documents.worker` takes, without `seconds`.
            seconds: how long it may take.

        Raises:
            RagkitError: a worker cannot be started or cannot work at all.
        """
        # What an earlier file left behind in the process is no reason to skip this one.
        used = self._process is not None
        outcome = self._ask(task, seconds)
        if used and outcome.get("again"):
            outcome = self._ask(task, seconds)
        if "missing" in outcome:
            raise MissingPackageError(outcome["missing"])
        if "error" in outcome:
            raise RagkitError(outcome["error"])
        reason: str | None = outcome["reason"]
        return reason

    def _ask(self, task: dict[str, Any], seconds: float) -> dict[str, Any]:
        process = self._start()
        if process is None:
            return {"reason": _INTERRUPTED}
        with _deadline(process, seconds) as late:
            answer = _ask(process, json.dumps(task | {"seconds": seconds}))
        if answer is None:
            reason = self._end(process)
            if self._closed:
                return {"reason": _INTERRUPTED}
            return {"reason": f"took longer than {seconds:g} s"} if late.is_set() else {"reason": reason, "again": True}
        if answer["last"]:
            self._end(process)
        if "memory" in answer:
            return {"reason": f"needed more than {self._memory:g} GiB of memory", "again": True}
        return answer

    def stop(self) -> None:
        """End the process at once, whatever it reads; may be called from another thread than the one that waits."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def close(self) -> None:
        """End the process and free what belongs to it; nobody may be waiting for it any more."""
        self.stop()
        if self._process is not None:
            self._end(self._process)

    def _start(self) -> "subprocess.Popen[str] | None":
        with self._lock:
            if self._closed:
                return None
            if self._process is not None:
                return self._process
            # The child imports ragkit from where this process has it, and nothing else of the user's.
            path = os.pathsep.join(str(Path(entry).absolute()) for entry in sys.path)
            environment = os.environ | {"PYTHONPATH": path} | dict.fromkeys(_THREADS, "1")
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
            self._process = process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "ragkit.documents.worker", str(self._memory)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                encoding="ascii",
                env=environment,
                # Ctrl-C is for this process, which ends its workers.
                start_new_session=True,
            )
        with _deadline(process, _START_SECONDS):
            ready = _answer(process)
        if ready is None:
            reason = self._end(process)
            if self._closed:
                return None
            raise RagkitError(f"a process that reads documents cannot be started: {reason}")
        return process

    def _end(self, process: "subprocess.Popen[str]") -> str:
        """Wait for the end of the process and return what it died of."""
        with self._lock:
            process.kill()
            status = process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    _close(stream)
            last = _last_line(self._errors)
            self._process = self._errors = None
        died = f"signal {-status}: {signal.strsignal(-status)}" if status < 0 else f"exit status {status}"
        return f"the reader died ({died})" + (f": {last}" if last else "")


@contextmanager
def _deadline(process: "subprocess.Popen[str]", seconds: float) -> Iterator[threading.Event]:
    """Kill a process after some time; the event says that this has happened."""
    late = threading.Event()

    def kill() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, kill)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _ask(process: "subprocess.Popen[str]", line: str) -> dict[str, Any] | None:
    assert process.stdin is not None  # noqa: S101 - a pipe was asked for
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
    except OSError:
        return None
    return _answer(process)


def _answer(process: "subprocess.Popen[str]") -> dict[str, Any] | None:
    """Return what a process says; None if it has died."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    line = process.stdout.readline()
    answer: dict[str, Any] | None = json.loads(line) if line.endswith("\n") else None
    return answer


def _close(stream: IO[str]) -> None:
    try:
        stream.close()
    except OSError:
        return  # what could not be flushed to a process that has died


def _last_line(errors: IO[bytes] | None) -> str:
    if errors is None:
        return ""
    with errors:
        errors.seek(max(errors.seek(0, os.SEEK_END) - 2000, 0))
        lines = errors.read().decode("utf-8", "replace").split("\n")
    return next((" ".join(line.split()) for line in reversed(lines) if line.strip()), "")
