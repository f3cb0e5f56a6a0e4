"""Build an index folder, continue the build that is there, or find that it is up to date."""

import hashlib
import itertools
import json
import logging
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ragkit.documents import Unreadable
from ragkit.documents.document import counted
from ragkit.documents.ingest import Ingested, ingest_files, ingest_loader
from ragkit.documents.page_settings import PageFolders
from ragkit.engine.calls import OnProgress
from ragkit.errors import InputError
from ragkit.index.build_report import INGEST, BuildReport, report_of
from ragkit.index.folder import CURRENT, PAGES, PASSAGES, WORK, check_folder, hash_files, locked, publish
from ragkit.index.manifest import Manifest
from ragkit.index.page_folders import drop_pages
from ragkit.index.part_build import PartBuild
from ragkit.index.plan import MANIFEST, Base, Plan, continued_build, described, file_changes, reasons_to_build, usable
from ragkit.index.store import PassageStore
from ragkit.index.store_writer import StoreWriter, pack

_LOG = logging.getLogger(__name__)

MOST_HOLES = 0.3
"""The share of positions without a passage from which on an index is written anew, without them."""


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
    hashes = hash_files(plan.files, plan.folder) | described(plan.loaders)
    work = plan.folder / WORK
    if not reasons_to_build(plan, hashes) and not work.exists():
        return report_of(plan.folder)
    with locked(plan.folder):
        reasons = reasons_to_build(plan, hashes)
        if not reasons:  # another process has built it, or a build was killed when it was already published
            shutil.rmtree(work, ignore_errors=True)
            return report_of(plan.folder)
        base = continued_build(plan)
        _build(plan, base, hashes, _Reading(plan, base, hashes, on_progress), on_progress)
    return report_of(plan.folder, reasons, continued=base is not None)


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
    return report_of(plan.folder, (reason,), continued=base is not None)


class _Reading:
    """Reads the files that are new or have changed, and lets the documents of the others go; so with loaders."""

    def __init__(self, plan: Plan, base: Base | None, hashes: Mapping[str, str], on_progress: OnProgress) -> None:
        self._plan, self._hashes, self._on_progress = plan, hashes, on_progress
        self._new, self._gone, self._changed = file_changes(base.manifest.files if base else {}, hashes)
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
            name: PartBuild(name, settings, base, kept, store, plan.folder / PAGES).build(
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


def _version() -> str:
    try:
        return version("ragkit")
    except PackageNotFoundError:
        return "unknown"
