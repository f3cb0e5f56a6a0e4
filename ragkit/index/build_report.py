"""What a build of an index found or did."""

import json
from dataclasses import dataclass
from pathlib import Path

from ragkit.documents import IngestReport
from ragkit.documents.document import counted
from ragkit.index.folder import current_build
from ragkit.index.manifest import Manifest
from ragkit.index.plan import MANIFEST

INGEST = "ingest.json"


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


def report_of(folder: Path, reasons: tuple[str, ...] = (), *, continued: bool = False) -> BuildReport:
    """Return the report of the build that is there: why it was built, or that it was up to date."""
    build = current_build(folder)
    manifest = Manifest.load(build / MANIFEST)
    ingest = IngestReport.from_dict(json.loads((build / INGEST).read_text(encoding="utf-8")))
    holes = manifest.positions - manifest.passages
    return BuildReport(build, reasons, continued, manifest.passages, holes, ingest)
