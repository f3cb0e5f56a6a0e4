"""Build the BM25 part of an index."""

from pathlib import Path
from typing import Any

from ragkit.index.part import Growth
from ragkit.index.sparse.counts import write_counts
from ragkit.index.sparse.matrix import write_matrix
from ragkit.index.sparse.settings import SparseSettings


def build_sparse(settings: SparseSettings, growth: Growth, folder: Path) -> dict[str, Any]:
    """Count the words of all passages (of an index that grows: of the new ones), score them, and write the folder.

    The scores of all passages are computed anew, because every passage that comes or goes changes the idf and the mean
    length; that takes seconds per million passages. Deleted passages leave these statistics.

    Returns:
        Facts for the manifest: the number of different `terms`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = write_counts(settings, growth, folder)
    write_matrix(settings, len(vocabulary), folder)
    return {"terms": len(vocabulary) - 1}
