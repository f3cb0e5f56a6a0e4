"""Build an index folder, or find that it is up to date."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ragkit.documents import Chunking, IngestReport, SourceFile, chunk, load_documents
from ragkit.engine.calls import OnProgress
from ragkit.engine.state import Passage
from ragkit.errors import InputError
from ragkit.index.dense import DenseSettings, build_dense
from ragkit.index.folder import CURRENT, current_build, hash_files, locked, publish, temporary_build
from ragkit.index.manifest import IndexSettings, Manifest, corpus_hash, differences
from ragkit.index.part import Growth
from ragkit.index.settings import SparseSettings
from ragkit.index.sparse import build_sparse
from ragkit.index.store import PassageStore, write_store

MANIFEST, INGEST, PASSAGES, VECTORS, POSTINGS = (
    "manifest.json",
    "ingest.json",
    "passages.sqlite",
    "dense",
    "sparse",
)


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What `prepare` found or did; `str()` gives the text for the user.

    Attributes:
        folder: the current build.
        reasons: why it was built; empty if the index was up to date.
        passages: number of passages in it.
        ingest: what was read when it was built.
    """

    folder: Path
    reasons: tuple[str, ...]
    passages: int
    ingest: IngestReport

    @property
    def built(self) -> bool:
        """Whether anything was built."""
        return bool(self.reasons)

    def __str__(self) -> str:
        state = f"built ({'; '.join(self.reasons)})" if self.built else "up to date"
        return f"index {state}: {self.passages} passages\n{self.ingest}"


class _Texts(list[str]):
    def read(self, start: int, stop: int) -> list[str]:
        """Return texts by position."""
        return self[start:stop]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build and where."""

    folder: Path
    files: Sequence[SourceFile]
    chunking: Chunking
    dense: DenseSettings | None
    sparse: SparseSettings | None
    record: IndexSettings


def prepare(plan: Plan, on_progress: OnProgress) -> BuildReport:
    """Build the index unless the folder holds it already.

    `on_progress` gets the steps `read` (files), `embed` (passages) and `index` (parts).

    Two processes may do so at once: the second waits for the first and uses its build.

    Raises:
        InputError: the documents hold no text, or a setting does not fit them.
        RagkitError: the encoder failed.
    """
    hashes = hash_files(plan.files, plan.folder / "files.json")
    if not _reasons(plan, hashes):
        return _report(plan.folder, ())
    with locked(plan.folder):
        reasons = _reasons(plan, hashes)
        if reasons:
            _build(plan, hashes, on_progress)
    return _report(plan.folder, reasons)


def _reasons(plan: Plan, hashes: Mapping[str, str]) -> tuple[str, ...]:
    """Return why the current build does not do."""
    if not (plan.folder / CURRENT).exists():
        return ("new",)
    try:
        build = current_build(plan.folder)
        manifest = Manifest.load(build / MANIFEST)
        PassageStore(build / PASSAGES).close()
    except InputError as error:
        return (str(error),)
    reasons = [str(difference) for difference in differences(manifest.settings, plan.record)]
    old = manifest.documents
    counts = {
        "new": len(hashes.keys() - old.keys()),
        "gone": len(old.keys() - hashes.keys()),
        "changed": sum(old[name] != hashes[name] for name in old.keys() & hashes.keys()),
    }
    return (*reasons, *(f"{count} files {state}" for state, count in counts.items() if count))


def _build(plan: Plan, hashes: dict[str, str], on_progress: OnProgress) -> None:
    ingest = IngestReport()
    passages = _read(plan, ingest, on_progress)
    texts = [passage.page_content for passage in passages]
    dimension = None
    parts = 1 + (plan.dense is not None) + (plan.sparse is not None)
    with temporary_build(plan.folder) as temporary:
        if plan.dense is not None:
            total = len(texts)
            on_progress("embed", 0, total)
            growth = Growth(_Texts(texts), plan.folder / "work", on_done=lambda done: on_progress("embed", done, total))
            dimension = build_dense(plan.dense, growth, temporary / VECTORS)["dimension"]
            shutil.rmtree(plan.folder / "work")
        on_progress("index", parts - 2 if plan.sparse else parts - 1, parts)
        if plan.sparse is not None:
            build_sparse(texts, plan.sparse, temporary / POSTINGS)
            on_progress("index", parts - 1, parts)
        write_store(temporary / PASSAGES, passages)
        on_progress("index", parts, parts)
        (temporary / INGEST).write_text(json.dumps(asdict(ingest)), encoding="utf-8")
        manifest = Manifest(
            ragkit=_version(),
            settings=plan.record,
            documents=hashes,
            passages=len(passages),
            dimension=dimension,
            corpus=corpus_hash(passages),
        )
        manifest.save(temporary / MANIFEST)
        publish(plan.folder, temporary, manifest)


def _read(plan: Plan, ingest: IngestReport, on_progress: OnProgress) -> list[Passage]:
    total = len(plan.files)
    on_progress("read", 0, total)
    documents = load_documents(plan.files, ingest, lambda file: on_progress("read", ingest.files, total))
    passages = [passage for document in documents for passage in chunk(document, plan.chunking)]
    if not passages:
        raise InputError(f"the documents hold no text to index\n{ingest}")
    return passages


def _report(folder: Path, reasons: tuple[str, ...]) -> BuildReport:
    build = current_build(folder)
    ingest = json.loads((build / INGEST).read_text(encoding="utf-8"))
    ingest["skipped"] = [(place, reason) for place, reason in ingest["skipped"]]
    return BuildReport(build, reasons, Manifest.load(build / MANIFEST).passages, IngestReport(**ingest))


def _version() -> str:
    try:
        return version("ragkit")
    except PackageNotFoundError:
        return "unknown"
