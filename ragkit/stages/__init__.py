"""Stages: one file per method. Importing this package registers them."""

from ragkit.stages import answer, context, rerank, retrieve

__all__ = ["answer", "context", "rerank", "retrieve"]
