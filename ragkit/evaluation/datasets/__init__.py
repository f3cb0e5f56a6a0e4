"""Question sets in the forms in which they are published, and TREC's runs and qrels."""

from ragkit.evaluation.datasets.loading import load_questions
from ragkit.evaluation.datasets.trec import read_qrels, read_run_file, write_qrels, write_run_file

__all__ = ["load_questions", "read_qrels", "read_run_file", "write_qrels", "write_run_file"]
