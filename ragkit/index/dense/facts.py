"""What is known of a finished dense part, kept beside its vectors."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FACTS, VECTORS = "facts.json", "vectors.faiss"


@dataclass(frozen=True, slots=True)
class DenseFacts:
    """What the search has to know of the files.

    Attributes:
        dimension: of the vectors, before FAISS transforms them.
        longest: the greatest length of a vector, which bounds the rounding errors of scores.
    """

    dimension: int
    longest: float

    def save(self, folder: Path) -> None:
        """Write the facts as JSON."""
        (folder / FACTS).write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "DenseFacts":
        """Read the facts.

        Raises:
            OSError: there are none.
            ValueError: they are damaged.
        """
        data: Any = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        try:
            return cls(int(data["dimension"]), float(data["longest"]))
        except (KeyError, TypeError):
            raise ValueError(f"{FACTS} lacks the dimension or the greatest length") from None
