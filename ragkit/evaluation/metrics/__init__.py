"""Metrics: one file per family. A metric is a value that is written like `em`, `recall@5` or `aurc(of=f1)`."""

from ragkit.evaluation.metrics import (
    abstention,
    answers,
    cost,
    erm4_legacy,
    lists,
    native,
    numbers,
    ranking,
    support,
    text,
)
from ragkit.evaluation.metrics.base import Metric, PerQuestion, Whole
from ragkit.evaluation.metrics.parse import parse_metric

__all__ = [
    "Metric",
    "PerQuestion",
    "Whole",
    "abstention",
    "answers",
    "cost",
    "erm4_legacy",
    "lists",
    "native",
    "numbers",
    "parse_metric",
    "ranking",
    "support",
    "text",
]
