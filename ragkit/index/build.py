"""Build an index folder, continue the build that is there, or find that it is up to date."""

import hashlib
import itertools
import json
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.documents import Chunking, IngestReport, PdfSettings, SourceFile, Unreadable
from ragkit.documents.document import counted
from ragkit.documents.ingest import Ingested, IngestSettings, ingest_files, ingest_loader
from ragkit.documents.loaders import DocumentLoader
from ragkit.documents.page_settings import PageFolders, PageSettings
from ragkit.engine.calls import OnProgress
from ragkit.errors import InputError
from ragkit.index.folder import CURRENT, PAGES, WORK, check_folder, current_build, hash_files, locked, publish
from ragkit.index.folder import PASSAGES as PASSAGES
from ragkit.index.manifest import IndexSettings, Manifest, differences
from ragkit.index.page_folders import drop_pages
from ragkit.index.part import Growth, PartSettings
from ragkit.index.parts import PARTS
from ragkit.index.store import PassageStore
from ragkit.index.store_writer import StoreWriter, pack

_LOG = logging.getLogger(__name__)

MANIFEST, INGEST, FACTS = "manifest.json", "ingest.json", "part.json"

MOST_HOLES = 0.3
"""The share of positions without a passage from which on an index is written anew, without them."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build found or did; `str()` gives the text for the user.

    Attributes:
        folder: the current build.
        reasons: why it was built; empty if the index was up to date.
        continued: whether an earlier build was continued, so that only what is new was read and embedded.
        passages: number of passages in it.
        holes: number of positions whose passages were deleted.
        ingest: what was read for all that is in the index.
    """

    folder: Path
    reasons: tuple[str, ...]
    continued: bool
    passages: int
    holes: int
    ingest: IngestReport

    @property
    def built(self) -> bool:
        """Whether anything was built."""
        return bool(self.reasons)

    def __str__(self) -> str:
        word = "updated" if self.continued else "built"
        state = f"{word} ({'; '.join(self.reasons)})" if self.built else "up to date"
        holes = f", {self.holes:,} deleted still in the files" if self.holes else ""
        lines = [f"index {state}: {counted(self.passages, 'passage')}{holes}"]
        if self.built and self.ingest.files + self.ingest.documents:
            lines.append(str(self.ingest))
        elif self.ingest.skipped:
            lines[0] += f"; {len(self.ingest.skipped):,} skipped when it was built (`ragkit index info` names them)"
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build and where.

    Attributes:
        folder: where the index is kept.
        files: of the corpus.
        loaders: further sources of documents, by a name that no file has.
        reload: whether loaders are asked that have been asked before.
        pdf: what is read from PDFs.
        chunking: how documents are cut.
        ingest: what reading may cost.
        parts: the settings of the parts, by name.
        settings: what the manifest keeps.
        pages: how the pages of PDFs are kept, if they are.
    """

    folder: Path
    files: Sequence[SourceFile]
    loaders: Mapping[str, DocumentLoader]
    reload: bool
    pdf: PdfSettings
    chunking: Chunking
    ingest: IngestSettings
    parts: Mapping[str, PartSettings]
    settings: IndexSettings
    pages: PageSettings | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """The build that is continued.

    Attributes:
        parts: names of the parts whose settings have not changed.
    """

    folder: Path
    manifest: Manifest
    parts: frozenset[str]


Write = Callable[[StoreWriter], None]
"""Puts documents into a store and lets others go."""


def prepare(plan: Plan, on_progress: OnProgress) -> BuildReport:
    """Build the index from its files unless the folder holds it already.

    `on_progress` gets the step `read` (files), and for each part a step of its name (passages).

    Two processes may do so at once: the second waits for the first and uses its build.

    Raises:
        InputError: the documents hold no text, or a setting does not fit them.
        RagkitError: the encoder failed.
    """
    check_folder(plan.folder)
    hashes = hash_files(plan.files, plan.folder) | _described(plan.loaders)
    work = plan.folder / WORK
    if not _reasons(plan, hashes) and not work.exists():
        return existing(plan.folder)
    with locked(plan.folder):
        reasons = _reasons(plan, hashes)
        if not reasons:  # another process has built it, or a build was killed when it was already published
            shutil.rmtree(work, ignore_errors=True)
            return existing(plan.folder)
        base = _base(plan)
        _build(plan, base, hashes, _Reading(plan, base, hashes, on_progress), on_progress)
    return _report(plan.folder, reasons, continued=base is not None)


def update(plan: Plan, write: Write, reason: str) -> BuildReport:
    """Change the documents of an index that has no files.

    Raises:
        InputError: the index was built with other settings, or what `write` raises.
        RagkitError: the encoder failed.
    """
    check_folder(plan.folder)
    with locked(plan.folder):
        base = None
        if (plan.folder / CURRENT).exists():
            base = Base(*usable(plan.folder, plan.settings), frozenset(plan.parts))
        _build(plan, base, {}, write, lambda *step: None)
    return _report(plan.folder, (reason,), continued=base is not None)


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
    reasons = [str(difference) for difference in differences(manifest.settings, plan.settings)]
    new, gone, changed = _changes(manifest.files, hashes)
    counts = {"new": len(new), "gone": len(gone), "changed": len(changed)}
    reasons += [f"{counted(count, 'file')} {state}" for state, count in counts.items() if count]
    return (*reasons, "loaders are asked again") if plan.reload and plan.loaders else tuple(reasons)


def _described(loaders: Mapping[str, DocumentLoader]) -> dict[str, str]:
    """Return a hash of the settings of each loader: what it would give is known only when it is asked."""
    return {
        name: hashlib.sha256(json.dumps(loader.describe(), sort_keys=True).encode()).hexdigest()
        for name, loader in loaders.items()
    }


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[set[str], set[str], set[str]]:
    """Return the files that are new, gone and changed."""
    changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    return set(new.keys() - old.keys()), set(old.keys() - new.keys()), changed


def _base(plan: Plan) -> Base | None:
    """Return the current build if it can be continued: it is whole, and documents are read and cut as they were."""
    try:
        build = current_build(plan.folder)
        manifest = Manifest.load(build / MANIFEST)
        PassageStore(build / PASSAGES).close()
    except InputError:
        return None  # `_reasons` has it
    changed = {difference.field.split(".")[1] for difference in differences(manifest.settings, plan.settings)}
    return Base(build, manifest, frozenset(PARTS) - changed) if changed <= PARTS.keys() else None


class _Reading:
    """Reads the files that are new or have changed, and lets the documents of the others go; so with loaders."""

    def __init__(self, plan: Plan, base: Base | None, hashes: Mapping[str, str], on_progress: OnProgress) -> None:
        self._plan, self._hashes, self._on_progress = plan, hashes, on_progress
        self._new, self._gone, self._changed = _changes(base.manifest.files if base else {}, hashes)
        if plan.reload:
            self._changed |= plan.loaders.keys() - self._new

    def __call__(self, writer: StoreWriter) -> None:
        again = self._changed | (set(writer.clashing_files()) - self._gone)
        writer.expire_files(sorted(self._gone | again))
        reused = 0
        for name, report, documents in self._ingest(self._new | again):
            for document in documents:
                try:
                    if writer.put(name, *document):
                        report.count(document.chunked)
                except Unreadable as reason:
                    report.skip(name, str(reason))
            reused += report.reused
            writer.put_report(name, replace(report, reused=0))  # which says something of this build only
        if reused:
            _LOG.info("%s had been read by an interrupted build", counted(reused, "file"))

    def _ingest(self, wanted: Collection[str]) -> Iterator[Ingested]:
        plan = self._plan
        files = [file for file in plan.files if file.id in wanted]
        done = itertools.count(1)
        if files:
            self._on_progress("read", 0, len(files))
        yield from ingest_files(
            files,
            plan.pdf,
            plan.chunking,
            plan.folder / WORK / "ingest",
            lambda file: self._on_progress("read", next(done), len(files)),
            settings=plan.ingest,
            hashes=self._hashes,
            pages=PageFolders(plan.folder / PAGES, plan.pages) if plan.pages else None,
        )
        for name, loader in plan.loaders.items():
            if name in wanted:
                yield ingest_loader(name, loader, plan.chunking)


def _build(plan: Plan, base: Base | None, hashes: dict[str, str], write: Write, on_progress: OnProgress) -> None:
    """Make a build in the folder's `work`, with what a killed one left there, and publish it. The lock must be held."""
    work = plan.folder / WORK
    work.mkdir(exist_ok=True)
    order = {name: rank for rank, name in enumerate([*(file.id for file in plan.files), *plan.loaders])}
    begun = time.monotonic()
    previous = None if base is None else base.folder / PASSAGES
    with StoreWriter(work / PASSAGES, previous, order) as writer:
        write(writer)
        writer.finish()
        ingest = writer.report()
    # The report is of all files, also of those that an earlier build has read.
    ingest.seconds = time.monotonic() - begun if base is None else 0.0
    kept = _pack(work) if base else None
    with closing(PassageStore(work / PASSAGES)) as store:
        if not store.passages and not (plan.files or plan.loaders):
            raise InputError("an index keeps one document at least: add others before the last one is deleted")
        if not store.passages:
            raise InputError(f"the documents hold no text to index\n{ingest}")
        build = _place(plan, base, store, work)
        facts = {
            name: _Part(name, settings, base, kept, store, plan.folder / PAGES).build(
                build, work / f"{name}.work", on_progress
            )
            for name, settings in plan.parts.items()
        }
        manifest = Manifest(
            ragkit=_version(),
            settings=dict(plan.settings),
            files=hashes,
            passages=store.passages,
            positions=len(store),
            parts=facts,
            corpus=store.corpus,
            layout=store.layout,
        )
    (work / PASSAGES).replace(build / PASSAGES)
    (build / INGEST).write_text(json.dumps(asdict(ingest)), encoding="utf-8")
    manifest.save(build / MANIFEST)
    publish(plan.folder, build, manifest)
    drop_pages(plan.folder)


def _pack(work: Path) -> NDArray[np.int64] | None:
    """Write the store anew if it has many holes; return the old position of every passage then."""
    with closing(PassageStore(work / PASSAGES)) as store:
        if len(store) - store.passages <= MOST_HOLES * len(store):
            return None
    packed = work / f"packed-{PASSAGES}"
    kept = pack(work / PASSAGES, packed)
    packed.replace(work / PASSAGES)
    return kept


def _place(plan: Plan, base: Base | None, store: PassageStore, work: Path) -> Path:
    """Return the folder to make the build in: what a killed build finished is in it if that was of the same passages.

    What it had not finished is kept by its content, whatever the passages are now: see `Growth.work`.
    """
    key = [plan.settings, base and base.folder.name, len(store), store.corpus, store.layout]
    place = work / f"build-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}"
    for leftover in work.glob("build-*"):
        if leftover != place:
            shutil.rmtree(leftover)
    place.mkdir(exist_ok=True)
    return place


@dataclass(frozen=True, slots=True)
class _Part:
    """A part to be built: from nothing, on top of the same part of the base, or as that part is."""

    name: str
    settings: PartSettings
    base: Base | None
    kept: NDArray[np.int64] | None
    store: PassageStore
    pages: Path

    def build(self, place: Path, work: Path, on_progress: OnProgress) -> dict[str, Any]:
        """Build the part unless a killed build has finished it; return its facts.

        A part is whole when its folder has its own name.
        """
        finished, unfinished = place / self.name, place / f"{self.name}.part"
        if not finished.exists():
            shutil.rmtree(unfinished, ignore_errors=True)
            earlier = self._earlier()
            if earlier is not None and self._unchanged():
                shutil.copytree(earlier, unfinished, copy_function=_link)
            else:
                facts = self._build(earlier, unfinished, work, on_progress)
                (unfinished / FACTS).write_text(json.dumps(facts), encoding="utf-8")
            unfinished.rename(finished)
            shutil.rmtree(work, ignore_errors=True)
        found: dict[str, Any] = json.loads((finished / FACTS).read_text(encoding="utf-8"))
        return found

    def _earlier(self) -> Path | None:
        """Return the same part of the base, if it was built with the same settings."""
        return self.base.folder / self.name if self.base is not None and self.name in self.base.parts else None

    def _unchanged(self) -> bool:
        return self.base is not None and self.store.layout == self.base.manifest.layout

    def _build(self, earlier: Path | None, folder: Path, work: Path, on_progress: OnProgress) -> dict[str, Any]:
        """Continue the earlier part, or build one from nothing; return its facts."""
        folder.mkdir()
        work.mkdir(exist_ok=True)
        covered = self.base.manifest.positions if self.base is not None and earlier is not None else 0
        kept = None if earlier is None or self.kept is None else self.kept[self.kept < covered]
        start = covered if kept is None else len(kept)
        total = len(self.store) - start
        growth = Growth(
            texts=self.settings.texts(self.store),
            work=work,
            previous=earlier,
            start=start,
            deleted=self.store.holes(),
            kept=kept,
            pages=self.pages,
            on_done=lambda done: on_progress(self.name, min(done, total), total),
        )
        if total:
            on_progress(self.name, 0, total)
        return dict(PARTS[self.name].build(self.settings, growth, folder))


def _link(source: str, target: str) -> None:
    """Share a file that no build changes any more; copy it where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def usable(folder: Path, settings: IndexSettings) -> tuple[Path, Manifest]:
    """Return the current build and its manifest.

    Raises:
        InputError: nothing is built, or the index was built with other settings.
    """
    build = current_build(folder)
    manifest = Manifest.load(build / MANIFEST)
    if found := differences(manifest.settings, settings):
        listed = "; ".join(map(str, found))
        raise InputError(f"the index in {folder} was built with other settings: {listed}. Rebuild it")
    return build, manifest


def existing(folder: Path) -> BuildReport:
    """Return the report of the build that is there."""
    return _report(folder, ())


def _report(folder: Path, reasons: tuple[str, ...], *, continued: bool = False) -> BuildReport:
    build = current_build(folder)
    manifest = Manifest.load(build / MANIFEST)
    ingest = IngestReport.from_dict(json.loads((build / INGEST).read_text(encoding="utf-8")))
    holes = manifest.positions - manifest.passages
    return BuildReport(build, reasons, continued, manifest.passages, holes, ingest)


def _version() -> str:
    try:
        return version("ragkit")
    except PackageNotFoundError:
        return "unknown"
