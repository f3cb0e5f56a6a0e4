"""The process that reads files for `ragkit.documents.ingest`: a task a line on standard input, an answer a line back.

{"shard", "path", "id", "digest", "pdf", "chunking", "pages", "seconds"}
{"reason": why there is no shard, or null} or {"memory": true} or {"error": what stops the whole run} or {"missing":
the same, a package};
each with "last": whether this process ends now
"""

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from ragkit.documents.chunking import Chunking
from ragkit.documents.document import SourceFile
from ragkit.documents.page_settings import PageFolders
from ragkit.documents.pdf import PdfSettings
from ragkit.documents.shards import write_shard
from ragkit.errors import MissingPackageError, RagkitError

_GIB = 1 << 30
_GRACE = 30.0


def main(memory: float) -> None:
    """Answer tasks until standard input ends.

    Args:
        memory: GiB that reading a file may take.
    """
    # What libraries print goes with the errors; answers have the pipe for themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    # PyMuPDF would load a layout model that no reader uses; that takes as long as all the rest.
    sys.modules["pymupdf.layout"] = None  # type: ignore[assignment]
    with contextlib.suppress(ModuleNotFoundError):  # the reader of a PDF will say that it is missing
        import pymupdf  # noqa: F401 - what most files need is there before memory is counted

    limit = limit_memory(memory)
    _say(answers, {"ready": True})
    for number, line in enumerate(sys.stdin):
        task = json.loads(line)
        # Where the process that asked is killed, nobody else would end a reader that hangs.
        _alarm(task["seconds"] + _GRACE)
        answer = _read(task, fresh=number == 0)
        _alarm(0)
        # A reader that ran out of memory, or keeps much of it, ends here: the next file gets a fresh one.
        answer["last"] = "memory" in answer or (limit is not None and used_memory() > limit - memory * _GIB / 2)
        _say(answers, answer)
        if answer["last"]:
            return


def limit_memory(gib: float) -> float | None:
    """Let this process take so many GiB more than it has; return the limit in bytes, None where there is none."""
    if sys.platform != "linux":
        return None
    import resource

    limit = int(used_memory() + gib * _GIB)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
    return limit


def used_memory() -> int:
    """Return the bytes that count towards RLIMIT_DATA (Linux): private memory that can be written."""
    return int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")


def _read(task: dict[str, Any], *, fresh: bool) -> dict[str, Any]:
    file = SourceFile(Path(task["path"]), task["id"])
    pdf, chunking = PdfSettings(**task["pdf"]), Chunking(**task["chunking"])
    pages = PageFolders.from_dict(task["pages"]) if task["pages"] else None
    shard = Path(task["shard"])
    try:
        return {"reason": write_shard(shard, file, task["digest"], pdf, chunking, spare=fresh, pages=pages)}
    except MemoryError:
        return {"memory": True}
    except MissingPackageError as error:
        return {"missing": str(error)}
    except RagkitError as error:
        return {"error": str(error)}
    except OSError as error:
        return {"error": f"{task['shard']}: {error.strerror or error}"}


def _alarm(seconds: float) -> None:
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_REAL, seconds)


def _say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]))
