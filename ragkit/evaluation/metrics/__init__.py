"""Metrics: one file per family. A metric is a value that is written like `em`, `f1` or `recall@5`."""

from ragkit.evaluation.metrics import answers, cost, ranking
from ragkit.evaluation.metrics.base import Metric, PerQuestion, parse_metric

__all__ = ["Metric", "PerQuestion", "answers", "cost", "parse_metric", "ranking"]
