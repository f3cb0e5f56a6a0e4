"""The split of questions that recipes keep to; suites read it too (`part: test`), so it lives with evaluation."""

from ragkit.evaluation.split import Part, in_part, part_of

__all__ = ["Part", "in_part", "part_of"]
