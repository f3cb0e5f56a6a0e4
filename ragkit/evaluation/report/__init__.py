"""A run as a page: one HTML file that needs nothing else, and the story of a question that it and `explain` tell."""

from ragkit.evaluation.report.comparison import write_comparison
from ragkit.evaluation.report.write import write_report

__all__ = ["write_comparison", "write_report"]
