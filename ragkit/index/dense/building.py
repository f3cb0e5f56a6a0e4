"""Building the dense part: embed, train, fill, write."""

from pathlib import Path
from typing import TypedDict

from ragkit.index.dense.settings import DenseSettings
from ragkit.index.part import Growth


class DenseFacts(TypedDict):
    """What is known of a finished dense part."""

    dimension: int


def build_dense(settings: DenseSettings, growth: Growth, folder: Path) -> DenseFacts:
    """Embed what `growth` adds and write the dense part into `folder` (created if need be).

    Vectors are kept in shards under `growth.work` as they are made; a build that was killed finds them again.

    Raises:
        InputError: the factory does not fit the vectors: what would fit is named.
        RagkitError: the encoder failed on a passage, or gave NaN.
    """
    raise NotImplementedError
