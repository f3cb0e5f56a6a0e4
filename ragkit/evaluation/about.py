"""When a run was made and what it took: `about.json`, beside the results because it differs each time."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ragkit.engine.run_folder import replace_file, understood

ABOUT = "about.json"


@dataclass
class About:
    """What is told of a run beside its results.

    Attributes:
        started: when the run was first started, ISO 8601 with the time zone.
        seconds: how long it took, all starts together that came to an end.
        calls: calls to models and indexes in these.
        cached: those of them that the cache answered.
    """

    started: str
    seconds: float = 0.0
    calls: int = 0
    cached: int = 0

    @classmethod
    def begin(cls, folder: Path) -> Self:
        """Return what earlier starts left in a run's folder, or a new one, which is written down at once.

        Raises:
            InputError: what is there is of another version.
        """
        path = folder / ABOUT
        if path.exists():
            with understood(path):
                return cls(**json.loads(path.read_text(encoding="utf-8")))
        about = cls(datetime.now(UTC).astimezone().isoformat(timespec="seconds"))
        about.write(folder)
        return about

    def write(self, folder: Path) -> None:
        """Write `about.json`."""
        replace_file(folder / ABOUT, json.dumps(asdict(self), indent=2) + "\n")
