import numpy as np
import pytest

from ragkit.errors import RagkitError
from ragkit.index.lists import Lists, ListsWriter


def test_lists_come_back_in_blocks(tmp_path):
    random = np.random.default_rng(0)
    sizes = random.integers(0, 9, 200).astype(np.int32)
    items = random.random((int(sizes.sum()), 3), np.float32)
    with ListsWriter(tmp_path, {"x": "float32"}) as writer:
        for start in range(0, 200, 50):
            done = int(sizes[:start].sum())
            part = sizes[start : start + 50]
            writer.add(part, {"x": items[done : done + int(part.sum())]})
    lists = Lists(tmp_path, ("x",))
    assert isinstance(lists.columns["x"], np.memmap)
    for most in (1, 7, 10_000):
        blocks = list(lists.blocks(most))
        np.testing.assert_array_equal(np.concatenate([block.columns["x"] for block in blocks]), items)
        np.testing.assert_array_equal(np.concatenate([block.sizes for block in blocks]), sizes)
        assert all(len(block.columns["x"]) <= max(most, 8) for block in blocks)
        owners = np.concatenate([block.owners + block.first for block in blocks])
        np.testing.assert_array_equal(owners, np.repeat(np.arange(200), sizes))


def test_items_of_several_shapes_are_refused(tmp_path):
    with pytest.raises(RagkitError, match="dimensions"), ListsWriter(tmp_path, {"x": "float32"}) as writer:
        writer.add(np.array([1], np.int32), {"x": np.zeros((1, 3))})
        writer.add(np.array([1], np.int32), {"x": np.zeros((1, 4))})


def test_nothing(tmp_path):
    with ListsWriter(tmp_path, {"x": "int32"}) as writer:
        writer.add(np.zeros(3, np.int32), {"x": np.empty(0)})
    lists = Lists(tmp_path, ("x",))
    assert len(lists.columns["x"]) == 0 and [block.first for block in lists.blocks()] == [0]
