"""Memories that questions share: passages found before, kept on disk, found again by their titles."""

from ragkit.memory.items import Item
from ragkit.memory.reservoir import Found, Reservoir

__all__ = ["Found", "Item", "Reservoir"]
