"""How pages are kept, as the YAML spells it."""

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from ragkit.engine.component import Component

PAGE_READER = 1
"""Version of what reading a PDF as pages gives; bumped when the same file gives other pages."""


class PageSettings(Component):
    """Keep each page of a PDF as one passage, with its tables and figures and with pictures of all of them."""

    dpi: int = Field(150, ge=36, le=600, description="Resolution of the pictures; at 72 a point is a pixel.")
    detector: str | None = Field(
        None,
        min_length=1,
        description="A model that finds tables and figures on the picture of a page (a transformers object detector "
        "with DocLayNet's labels, folder or hub id), in place of what the PDF itself tells.",
    )


class PageFolders(NamedTuple):
    """How pages are kept, and the folder with a folder for each document."""

    folder: Path
    settings: PageSettings

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON data."""
        return {"folder": str(self.folder), "settings": self.settings.model_dump(mode="json")}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "PageFolders":
        """Return what `to_dict` was made from."""
        return cls(Path(data["folder"]), PageSettings(**data["settings"]))
