"""Data selectors that ragkit brings along; importing this package registers them."""

from ragkit.tuning.selectors.deita import Deita
from ragkit.tuning.selectors.rif import RolloutFilter
from ragkit.tuning.selectors.s3ft import SelfSupervised

__all__ = ["Deita", "RolloutFilter", "SelfSupervised"]
