import math

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_rel

from ragkit.evaluation.statistics import Paired, bootstrap_interval, holm, mean, paired_test, product


def test_the_product_of_two_means_as_the_paper_has_it():
    value, deviation = product((0.944, 0.0055), (4.3439, 0.0424))
    assert value == pytest.approx(4.101, abs=0.0005) and deviation == pytest.approx(0.047, abs=0.0005)
    rng = np.random.default_rng(4)
    draws = rng.normal(3, 0.5, 400_000) * rng.normal(2, 0.25, 400_000)
    assert product((3, 0.5), (2, 0.25)) == pytest.approx((draws.mean(), draws.std()), rel=0.01)


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


@pytest.mark.parametrize("seed", range(5))
def test_small_samples_have_the_exact_p_value(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random(9), rng.random(9) - 0.2
    reference = permutation_test((a - b,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert paired_test(a.tolist(), b.tolist()).p == pytest.approx(reference.pvalue)


def test_three_wins_of_three_are_no_proof():
    tested = paired_test([1, 1, 1], [0, 0, 0])
    assert (tested.difference, tested.low, tested.high, tested.p) == (1, 1, 1, 0.25)  # 2 of the 8 sign patterns


def test_large_samples_are_drawn_and_agree_with_the_t_test():
    rng = np.random.default_rng(3)
    a = rng.random(1_000)
    b = a - rng.normal(0.02, 0.4, 1_000)
    tested = paired_test(a.tolist(), b.tolist())
    assert tested.p == pytest.approx(ttest_rel(a, b).pvalue, abs=0.02)
    assert tested == paired_test(a.tolist(), b.tolist())
    assert tested.low < tested.difference < tested.high
    swapped = paired_test(b.tolist(), a.tolist())
    assert (swapped.difference, swapped.p) == (pytest.approx(-tested.difference), tested.p)


def test_p_value_of_drawn_randomisations_is_never_zero():
    assert paired_test([1.0] * 100, [0.0] * 100).p == pytest.approx(1 / 10_001)


def test_equal_systems_and_no_pairs():
    same = paired_test([0.3, 1.0], [0.3, 1.0])
    assert (same.difference, same.p, same.n, same.wins, same.losses, same.ties) == (0, 1, 2, 0, 0, 2)
    assert paired_test([None, 1.0], [1.0, None]) == Paired(None, None, None, None, 0, 0, 0, 0, excluded=2)
    assert paired_test([], []).p is None


def test_questions_without_a_value_are_counted_and_left_out():
    tested = paired_test([1.0, 0.0, None, 1.0, 0.5], [0.0, 1.0, 1.0, 0.5, 0.5])
    assert (tested.n, tested.wins, tested.losses, tested.ties, tested.excluded) == (4, 2, 1, 1, 1)
    assert tested.difference == pytest.approx(0.125)


def test_p_values_are_uniform_when_nothing_differs():
    rng = np.random.default_rng(11)
    values = rng.normal(size=(400, 40))
    below = np.mean([paired_test(row.tolist(), [0.0] * 40).p <= 0.05 for row in values[:120]])
    assert below <= 0.11


@pytest.mark.parametrize(("a", "b"), [([math.nan], [1.0]), ([1.0], [math.inf]), ([1.0, 2.0], [1.0])])
def test_pairs_that_cannot_be_compared(a, b):
    with pytest.raises(ValueError, match=r"not a finite number|shorter"):
        paired_test(a, b)


def test_holm_correction():
    # as statsmodels' multipletests(..., method="holm") gives them
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([None, 0.02, None]) == [None, 0.02, None]
    assert holm([]) == []
    with pytest.raises(ValueError, match=r"between 0 and 1, not 1\.5"):
        holm([1.5])
    with pytest.raises(ValueError, match="between 0 and 1, not nan"):
        holm([math.nan])
