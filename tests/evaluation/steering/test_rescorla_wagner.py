"""The Rescorla-Wagner model against its textbook values, and fits against curves of known parameters."""

import random

import numpy as np
import pytest

from ragkit.evaluation.steering.rescorla_wagner import (
    expected_strength,
    fit_presence,
    fit_share,
    presence,
    shape_of,
    share,
    simulate,
)

ELEVEN = np.linspace(0, 1, 11)

# V(C1) in percent at 0, 10 ... 100 % of bad fragments, read off a figure of the paper's page by eye.
PUBLISHED = {
    "Qwen2": ([7, 20, 27.5, 30.5, 38, 43.5, 43.7, 44.8, 45.7, 47.6, 51.6], 0.494, 5.05),
    "GPT-3.5": ([10, 10.7, 26.4, 30.8, 31.4, 33.9, 38, 44.3, 50, 54, 56.2], 0.541, 2.42),
    "GPT-4o": ([0, 9, 14.2, 19.6, 23.5, 31.2, 34.6, 38.5, 42.9, 44.5, 47.5], 0.480, 1.69),
}


def test_a_single_cue_is_learnt():
    assert simulate([0] * 20, (0.1, 0.1), 1.0, 1.0)[0] == pytest.approx(1 - 0.9**20, abs=1e-6)


def test_blocking():
    first, second = simulate([1] * 10 + [0] * 10, (0.3, 0.3), 1.0, 1.0)
    assert (first, second) == (pytest.approx(0.027450, abs=1e-6), pytest.approx(0.971752, abs=1e-6))


@pytest.mark.parametrize("rate", [0.01, 0.5, 1.0])
def test_the_total_never_exceeds_the_ceiling(rate):
    draw = random.Random(0)
    for _ in range(50):
        types = [draw.randint(0, 1) for _ in range(40)]
        assert sum(simulate(types, (draw.random(), draw.random()), rate, 0.7)) <= 0.7 + 1e-12


@pytest.mark.parametrize("proportion", [0, 0.1, 0.3, 0.5, 0.9, 1])
def test_the_closed_form_is_the_mean_of_simulations(proportion):
    draw = random.Random(1)
    types = [0] * round(100 * proportion) + [1] * round(100 * (1 - proportion))
    strengths = []
    for _ in range(500):
        draw.shuffle(types)
        strengths.append(simulate(types, (0.05, 0.05), 1.0, 1.0)[0])
    expected = expected_strength(proportion, 100, (0.05, 0.05), 1.0, 1.0)
    assert np.mean(strengths) == pytest.approx(expected, abs=0.01)


def test_many_trials_are_the_share():
    for p in (0.0, 0.2, 0.7, 1.0):
        expected = expected_strength(p, 100_000, (0.6, 0.2), 1.0, 0.5)
        assert expected == pytest.approx(share(np.array([p]), 0.5, 3.0)[0], abs=1e-9)
    assert expected_strength(0.5, 10, (0.0, 0.0), 1.0, 1.0) == 0


@pytest.mark.parametrize("offset", [False, True])
def test_parameters_are_recovered(offset):
    exact = share(ELEVEN, 0.5, 3.0, 0.1 if offset else 0.0)
    fit = fit_share(ELEVEN, exact, offset=offset)
    assert fit.parameters["ceiling"] == pytest.approx(0.5, abs=1e-3)
    assert fit.parameters["ratio"] == pytest.approx(3.0, abs=1e-3)
    assert fit.identifiable and fit.r2 == pytest.approx(1.0, abs=1e-6) and fit.mae < 1e-6


def test_parameters_are_recovered_from_noise():
    values = share(ELEVEN, 0.5, 3.0) + np.random.default_rng(0).normal(0, 0.01, 11)
    fit = fit_share(ELEVEN, values)
    assert fit.parameters["ceiling"] == pytest.approx(0.5, rel=0.1)
    assert fit.parameters["ratio"] == pytest.approx(3.0, rel=0.1)


@pytest.mark.parametrize("level", [0.0, 0.4])
@pytest.mark.parametrize("offset", [False, True])
def test_a_flat_curve_identifies_nothing(level, offset):
    fit = fit_share(ELEVEN, np.full(11, level), offset=offset)
    assert not fit.identifiable and fit.parameters["ratio"] == 1.0 and fit.r2 is None
    assert not fit_presence(ELEVEN, np.full(11, level)).identifiable


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_curves(name):
    values, ceiling, ratio = PUBLISHED[name]
    fit = fit_share(ELEVEN, np.array(values) / 100)
    assert fit.parameters["ceiling"] == pytest.approx(ceiling, abs=0.02)
    assert fit.parameters["ratio"] == pytest.approx(ratio, abs=0.1)
    assert fit.r2 > 0.9


def test_the_order_of_the_published_models():
    ratios = [fit_share(ELEVEN, np.array(values) / 100).parameters["ratio"] for values, *_ in PUBLISHED.values()]
    assert ratios[0] > ratios[1] > ratios[2] > 1


def test_a_small_model_is_fitted_by_presence_and_not_by_share():
    proportions = np.array([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 1])
    values = presence(proportions, 0.177, 0.246, 0.117, 0.176)
    own, other = fit_presence(proportions, values), fit_share(proportions, values, offset=True)
    assert list(own.parameters.values()) == pytest.approx([0.177, 0.246, 0.117, 0.176])
    assert own.aicc < other.aicc and other.mae > 0.01
    assert np.allclose(own.predict(proportions), values)


def test_few_levels_have_no_aicc_and_few_inner_ones_leave_presence_open():
    assert fit_presence(np.array([0, 0.5, 1.0]), np.array([0.1, 0.4, 0.5])).aicc is None
    assert not fit_presence(np.array([0, 0.5, 1.0]), np.array([0.1, 0.4, 0.5])).identifiable


def test_weights_pull_the_fit():
    values = share(ELEVEN, 0.5, 3.0)
    values[5] += 0.2
    light = np.ones(11)
    light[5] = 1e-6
    assert fit_share(ELEVEN, values, light).parameters["ratio"] == pytest.approx(3.0, abs=0.01)
    assert fit_share(ELEVEN, values).parameters["ratio"] != pytest.approx(3.0, abs=0.01)


def test_the_shape_of_a_curve():
    shape = shape_of([0, 1, 3, 9, 10], 10, np.array([0.1, 0.4, 0.42, 0.48, 0.7]))
    assert shape.first_gain == pytest.approx(0.3) and shape.last_gain == pytest.approx(0.22)
    assert shape.amplification == pytest.approx(0.3 / 0.01) and shape.spread == pytest.approx(0.6)
    line = shape_of([0, 5, 10], 10, np.array([0.9, 0.7, 0.5]))
    assert line.slope == pytest.approx(-0.04) and line.first_gain is None and line.amplification is None
