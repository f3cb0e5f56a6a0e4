import numpy as np
import pytest

from ragkit.index.top import best


@pytest.mark.parametrize("count", [0, 1, 255, 3000, 70_000])
@pytest.mark.parametrize("k", [1, 10, 400])
@pytest.mark.parametrize("floor", [0.0, -np.inf])
def test_it_is_what_sorting_gives(count, k, floor):
    random = np.random.default_rng(count + k)
    scores = np.round(random.normal(size=count), 2).astype(np.float32)  # many equals
    allowed = random.random(count) < 0.5
    for selection in (None, allowed):
        candidates = [n for n in range(count) if scores[n] > floor and (selection is None or selection[n])]
        expected = sorted(candidates, key=lambda n: (-scores[n], n))[:k]
        assert best(scores, k, selection, floor=floor) == [(n, float(scores[n])) for n in expected]


def test_few_matches_among_many():
    scores = np.zeros(100_000, np.float32)
    scores[[5, 99_999, 70_000]] = 1, 2, 1
    assert best(scores, 10, base=0.5) == [(99_999, 2.5), (5, 1.5), (70_000, 1.5)]
    assert best(np.zeros(100_000, np.float32), 10) == []
