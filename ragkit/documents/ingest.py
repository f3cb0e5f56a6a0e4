"""Read and cut a corpus: files side by side in processes with limits, resumable, one report."""

import hashlib
import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from ragkit.documents.chunking import CHUNKER, Chunking, cut
from ragkit.documents.document import ChunkedDocument, IngestReport, SourceFile
from ragkit.documents.loading import PDF, READER, suffix_of
from ragkit.documents.page_settings import PAGE_READER, PageFolders, PageSettings
from ragkit.documents.pdf import READER as PDF_READER
from ragkit.documents.pdf import PdfSettings
from ragkit.documents.shards import Cut, hash_file, read_shard, write_shard
from ragkit.documents.workers import Worker
from ragkit.engine.component import Component

if TYPE_CHECKING:
    from ragkit.documents.loaders import DocumentLoader

_SMALL = 4 << 20
_COMPRESSION = 10
_TIMED = 2 << 20


class IngestSettings(Component):
    """What reading the documents may cost. No part of an index's manifest."""

    workers: int | None = Field(None, ge=1, le=1024, description="Processes that read files; null: one per core.")
    seconds: float = Field(
        300.0, gt=0, allow_inf_nan=False, description="The longest that reading a file may take, per 2 MB begun."
    )
    memory: float = Field(
        2.0, ge=0.05, allow_inf_nan=False, description="GiB of memory that reading one file may take (Linux only)."
    )


class _Outcome(NamedTuple):
    """What came of a file: a shard, or the reason why there is none."""

    shard: Path
    reason: str | None = None
    reused: bool = False


def reading_record(pdf: PdfSettings, chunking: Chunking, pages: PageSettings | None = None) -> dict[str, Any]:
    """Return everything that decides what passages a file gives, as JSON data: for manifests."""
    record: dict[str, Any] = {
        "reader": f"{READER}.{PDF_READER}.{CHUNKER}",
        "pdf": pdf.model_dump(mode="json"),
        "chunking": chunking.model_dump(mode="json"),
    }
    # Without pages it stays what it was before there were any: no index has to be built again for them.
    return record if pages is None else record | {"pages": pages.model_dump(mode="json") | {"reader": PAGE_READER}}


class Ingested(NamedTuple):
    """What came of a file or a loader.

    Attributes:
        id: the file's id, or what the loader is called.
        report: what was read and what was not; complete when the documents have been handed out.
        documents: the documents, cut, in order; whoever takes them sees to ids that occur twice, and counts them.
    """

    id: str
    report: IngestReport
    documents: Iterator[Cut]


def ingest_files(
    files: Sequence[SourceFile],
    pdf: PdfSettings,
    chunking: Chunking,
    work: Path,
    on_file: Callable[[SourceFile], None] = lambda file: None,
    *,
    settings: IngestSettings | None = None,
    hashes: Mapping[str, str] | None = None,
    pages: PageFolders | None = None,
) -> Generator[Ingested, None, None]:
    """Read and cut files and return what came of each, in their order; see `ingest`.

    With `pages` every page of a PDF becomes a passage, and is kept in a folder of its document.
    """
    settings = settings or IngestSettings()
    work.mkdir(parents=True, exist_ok=True)
    unlimited = sys.platform != "linux" and not _is_small(files)
    finished: dict[int, _Outcome] = {}
    position = 0
    record = reading_record(pdf, chunking, pages and pages.settings)
    with closing(_read_all(files, record, work, settings, hashes or {}, pages)) as outcomes:
        for number, outcome in outcomes:
            finished[number] = outcome
            on_file(files[number])
            while position in finished:
                ingested = _hand_out(files[position], finished.pop(position))
                if unlimited:
                    ingested.report.note("the memory of readers is not limited on this system")
                yield ingested
                position += 1


def ingest_loader(name: str, loader: "DocumentLoader", chunking: Chunking) -> Ingested:
    """Ask a loader for its documents and cut them, in this process."""
    report = IngestReport()
    return Ingested(name, report, (Cut(doc.id, cut(doc, chunking)) for doc in loader.documents(report)))


def ingest(
    files: Sequence[SourceFile],
    pdf: PdfSettings,
    chunking: Chunking,
    work: Path,
    report: IngestReport,
    on_file: Callable[[SourceFile], None] = lambda file: None,
    *,
    settings: IngestSettings | None = None,
    hashes: Mapping[str, str] | None = None,
    loaders: Sequence["DocumentLoader"] = (),
) -> Iterator[ChunkedDocument]:
    """Read and cut files and return their documents in the order of the files, whatever the number of workers; then
    the documents of loaders, in this process.

    A file that cannot be read, takes too long or too much memory, or kills its reader is left out and noted in the
    report, and so is a document with the id of an earlier one. PDFs and long texts are read in processes of their own;
    a few short texts are read right here.

    Args:
        files: what `discover` returned.
        pdf: what is read from PDFs.
        chunking: where passages end.
        work: a folder for the passages of each file. What an interrupted call with the same settings finished is taken
            from there; delete it when the passages are where they belong.
        report: is filled in while the iterator advances.
        on_file: called when a file has been read, in any order.
        settings: workers and limits.
        hashes: the SHA-256 of files by their id, where they are known.
        loaders: further sources of documents; they are asked anew each time.

    Raises:
        RagkitError: a process cannot be started, or a package is missing.
        OSError: `work` cannot be written.
    """
    begun = time.monotonic()
    loaded = (ingest_loader(loader.class_, loader, chunking) for loader in loaders)
    seen: set[str] = set()
    try:
        with closing(ingest_files(files, pdf, chunking, work, on_file, settings=settings, hashes=hashes)) as read:
            for origin, own, documents in itertools.chain(read, loaded):
                for name, document in documents:
                    if name in seen:
                        own.skip(origin, f"the id '{name}' belongs to an earlier document")
                        continue
                    seen.add(name)
                    own.count(document)
                    yield document
                report.add(own)
    finally:
        report.seconds += time.monotonic() - begun


def _hand_out(file: SourceFile, outcome: _Outcome) -> Ingested:
    if outcome.reason is not None:
        report = IngestReport(files=1)
        report.skip(file.id, outcome.reason)
        return Ingested(file.id, report, iter(()))
    report = IngestReport(reused=int(outcome.reused))
    return Ingested(file.id, report, read_shard(outcome.shard, report))


def _read_all(
    files: Sequence[SourceFile],
    record: dict[str, Any],
    work: Path,
    settings: IngestSettings,
    hashes: Mapping[str, str],
    pages: PageFolders | None,
) -> Generator[tuple[int, _Outcome], None, None]:
    """Return (position, outcome) of each file as it is finished."""
    readers = _Readers(record, work, settings, hashes, pages)
    if _is_small(files):
        yield from enumerate(readers.read_here(file) for file in files)
        return
    count = min(settings.workers or _cores(), len(files))
    # The largest first: the last ones to finish are then short.
    order = sorted(range(len(files)), key=lambda number: -_size(files[number]))
    threads = ThreadPoolExecutor(count, thread_name_prefix="ragkit-ingest")
    try:
        futures: dict[Future[_Outcome], int] = {
            threads.submit(readers.read_apart, files[number]): number for number in order
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        readers.stop()
        threads.shutdown(cancel_futures=True)
        readers.close()


class _Readers:
    """Reads a file here or in a worker, one worker per thread, unless its shard is there."""

    def __init__(
        self,
        record: dict[str, Any],
        work: Path,
        settings: IngestSettings,
        hashes: Mapping[str, str],
        pages: PageFolders | None,
    ) -> None:
        self._record, self._work, self._settings, self._hashes = record, work, settings, hashes
        self._pages = pages
        self._own = threading.local()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._stopped = False

    def read_here(self, file: SourceFile) -> _Outcome:
        """Read a file in this process."""
        found = self._find(file)
        if isinstance(found, _Outcome):
            return found
        shard, digest = found
        pdf, chunking = PdfSettings(**self._record["pdf"]), Chunking(**self._record["chunking"])
        return _Outcome(shard, write_shard(shard, file, digest, pdf, chunking, spare=True))

    def read_apart(self, file: SourceFile) -> _Outcome:
        """Read a file in a process, within the limits."""
        found = self._find(file)
        if isinstance(found, _Outcome):
            return found
        shard, digest = found
        task = {
            "shard": str(shard),
            "path": str(file.path),
            "id": file.id,
            "digest": digest,
            "pdf": self._record["pdf"],
            "chunking": self._record["chunking"],
            "pages": self._pages and self._pages.to_dict(),
        }
        seconds = self._settings.seconds * (1 + _size(file) // _TIMED)
        reason = self._worker().read(task, seconds)
        if reason is not None:
            shard.with_suffix(".part").unlink(missing_ok=True)
        return _Outcome(shard, reason)

    def stop(self) -> None:
        """End all workers at once; no further one is started."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.stop()

    def close(self) -> None:
        """Free what belongs to the workers, when no thread uses them any more."""
        for worker in self._workers:
            worker.close()

    def _find(self, file: SourceFile) -> _Outcome | tuple[Path, str]:
        """Return what came of the file earlier, or where its shard has to go and its hash."""
        try:
            digest = self._hashes.get(file.id) or hash_file(file.path)
        except OSError as error:
            return _Outcome(self._work, error.strerror or str(error))
        key = json.dumps([digest, file.id, self._record], sort_keys=True)
        shard = self._work / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.jsonl"
        return _Outcome(shard, reused=True) if shard.exists() else (shard, digest)

    def _worker(self) -> Worker:
        if not hasattr(self._own, "worker"):
            worker = Worker(self._settings.memory)
            with self._lock:
                self._workers.append(worker)
                if self._stopped:
                    worker.stop()
            self._own.worker = worker
        found: Worker = self._own.worker
        return found


def _is_small(files: Iterable[SourceFile]) -> bool:
    """Say whether the files are so few and harmless that a process would cost more than it is good for."""
    total = 0
    for file in files:
        suffix = suffix_of(file.path)
        total += _size(file) * (_COMPRESSION if suffix.endswith(".gz") else 1)
        if suffix == PDF or total > _SMALL:
            return False
    return True


def _size(file: SourceFile) -> int:
    try:
        return file.path.stat().st_size
    except OSError:
        return 0  # what is wrong is said when it is read


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
