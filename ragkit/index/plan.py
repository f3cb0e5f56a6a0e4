"""What an index is to be built of, and what of it the current build holds already."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ragkit.documents import Chunking, PdfSettings, SourceFile
from ragkit.documents.document import counted
from ragkit.documents.ingest import IngestSettings
from ragkit.documents.loaders import DocumentLoader
from ragkit.documents.page_settings import PageSettings
from ragkit.errors import InputError
from ragkit.index.folder import CURRENT, PASSAGES, current_build
from ragkit.index.manifest import IndexSettings, Manifest, differences
from ragkit.index.part import PartSettings
from ragkit.index.parts import PARTS
from ragkit.index.store import PassageStore

MANIFEST = "manifest.json"


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


def reasons_to_build(plan: Plan, hashes: Mapping[str, str]) -> tuple[str, ...]:
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
    new, gone, changed = file_changes(manifest.files, hashes)
    counts = {"new": len(new), "gone": len(gone), "changed": len(changed)}
    reasons += [f"{counted(count, 'file')} {state}" for state, count in counts.items() if count]
    return (*reasons, "loaders are asked again") if plan.reload and plan.loaders else tuple(reasons)


def described(loaders: Mapping[str, DocumentLoader]) -> dict[str, str]:
    """Return a hash of the settings of each loader: what it would give is known only when it is asked."""
    return {
        name: hashlib.sha256(json.dumps(loader.describe(), sort_keys=True).encode()).hexdigest()
        for name, loader in loaders.items()
    }


def file_changes(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[set[str], set[str], set[str]]:
    """Return the files that are new, gone and changed."""
    changed = {name for name in old.keys() & new.keys() if old[name] != new[name]}
    return set(new.keys() - old.keys()), set(old.keys() - new.keys()), changed


def continued_build(plan: Plan) -> Base | None:
    """Return the current build if it can be continued: it is whole, and documents are read and cut as they were."""
    try:
        build = current_build(plan.folder)
        manifest = Manifest.load(build / MANIFEST)
        PassageStore(build / PASSAGES).close()
    except InputError:
        return None  # `reasons_to_build` has it
    changed = {difference.field.split(".")[1] for difference in differences(manifest.settings, plan.settings)}
    return Base(build, manifest, frozenset(PARTS) - changed) if changed <= PARTS.keys() else None


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
