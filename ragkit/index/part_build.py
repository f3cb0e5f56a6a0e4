"""Build one part of an index: from nothing, on top of the same part of an earlier build, or as that part is."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ragkit.engine.calls import OnProgress
from ragkit.index.part import Growth, PartSettings
from ragkit.index.parts import PARTS
from ragkit.index.plan import Base
from ragkit.index.store import PassageStore

FACTS = "part.json"


@dataclass(frozen=True, slots=True)
class PartBuild:
    """A part to be built.

    Attributes:
        base: the build that is continued, if any.
        kept: the old position of every passage, if the store was written anew.
        store: the passages.
        pages: the folder of the pages of PDFs.
    """

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
