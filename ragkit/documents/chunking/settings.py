"""How documents are cut, as the YAML spells it."""

from typing import Literal, Self

from pydantic import Field, model_validator

from ragkit.engine.component import Component

CHUNKER = 1
"""Version of what the chunkers return; bumped when the same document gives other passages, so that indexes are
rebuilt."""


class ParentSettings(Component):
    """Search small, read large: what a passage that was found is read in."""

    by: Literal["page", "section", "size"] = Field(
        "page",
        description="page: the whole page (documents without pages: as `size`); section: what stands under the same "
        "heading, up to `size`; size: blocks of the page up to `size`.",
    )
    size: int = Field(1000, ge=32, le=1_000_000, description="The most tokens in a parent (estimated).")


class Chunking(Component):
    """How long passages are and where they end. A passage never crosses a page."""

    by: Literal["tokens", "sentences", "layout", "page"] = Field(
        "layout",
        description="tokens: up to `size`, at the ends of blocks, lines and sentences where possible; sentences: whole "
        "sentences up to `size`; layout: as tokens, but never across a heading, and tables and figures whole; page: a "
        "page is a passage.",
    )
    size: int = Field(200, ge=16, le=100_000, description="The most tokens in a passage (estimated).")
    overlap: int = Field(
        0, ge=0, description="Tokens (by sentences: sentences) that a passage repeats from the one before it."
    )
    parent: ParentSettings | None = Field(None, description="Read more than was found: the parts that passages are in.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.by != "sentences" and self.overlap > self.size // 2:
            raise ValueError(f"overlap ({self.overlap}) is more than half of size ({self.size})")
        if self.by == "page" and self.overlap:
            raise ValueError("pages do not overlap: leave 'overlap' out, or choose another 'by'")
        if self.by == "page" and self.parent is not None:
            raise ValueError("a passage that is a page has no parent: leave 'parent' out, or choose another 'by'")
        if self.parent is not None and self.parent.size < self.size:
            raise ValueError(f"parents ({self.parent.size} tokens) are smaller than passages ({self.size})")
        return self
