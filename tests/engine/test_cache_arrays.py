import numpy as np
import pytest

from ragkit.engine.cache import CallCache
from ragkit.engine.calls import Reply


@pytest.mark.parametrize("shape", [(3,), (0,), (2, 5), (4, 1), (0, 7)])
def test_arrays_keep_their_shape(tmp_path, shape):
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    cache = CallCache(tmp_path / "calls.sqlite")
    cache.store({b"a": Reply(array), b"b": Reply({"x": [1]})})
    found = cache.lookup([b"a", b"b"])
    assert found[b"a"].value.shape == shape and found[b"b"].value == {"x": [1]}
    np.testing.assert_array_equal(found[b"a"].value, array)
