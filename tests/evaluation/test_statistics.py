import math

import numpy as np
import pytest

from ragkit.evaluation.statistics import bootstrap_interval, mean


def test_interval_agrees_with_the_normal_approximation():
    values = np.random.default_rng(7).random(2_000)
    low, high = bootstrap_interval(values.tolist())
    margin = 1.96 * values.std() / math.sqrt(values.size)
    assert low == pytest.approx(values.mean() - margin, abs=0.002)
    assert high == pytest.approx(values.mean() + margin, abs=0.002)


def test_interval_covers_the_true_mean_about_95_times_in_100():
    draws = np.random.default_rng(1).random((200, 60)) < 0.4
    intervals = [bootstrap_interval(row.astype(float).tolist()) for row in draws]
    covered = np.mean([low <= 0.4 <= high for low, high in intervals])
    assert 0.9 <= covered <= 0.99


def test_the_same_values_give_the_same_interval():
    values = [0.0, 1.0, 1.0, 0.5, 0.0, 1.0]
    assert bootstrap_interval(values) == bootstrap_interval(list(values))


def test_ten_thousand_values():
    values = [float(n % 4 == 0) for n in range(10_000)]
    low, high = bootstrap_interval(values)
    assert 0.24 < low < 0.25 < high < 0.26


def test_degenerate_samples():
    assert bootstrap_interval([]) is None
    assert bootstrap_interval([0.3]) == (0.3, 0.3)
    assert bootstrap_interval([0.1] * 7) == (0.1, 0.1)
    assert mean([]) is None
    assert mean([0.1] * 7) == 0.1


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(ValueError, match=f"not a finite number: {bad}"):
        bootstrap_interval([0.0, bad, 1.0])
