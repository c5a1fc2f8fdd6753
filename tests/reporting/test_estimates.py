"""Intervals and comparisons against plain loops, and how often they hold what they claim."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

from calibrant.metrics import calibration_error
from calibrant.reporting.estimates import calibration_change, mean_estimate, share_estimate


def test_a_share_has_the_exact_binomial_interval() -> None:
    correct = np.arange(40) < 31
    found = share_estimate(correct, None)
    exact = binomtest(31, 40).proportion_ci(0.95, "exact")
    np.testing.assert_allclose([found.value, found.low, found.high], [31 / 40, exact.low, exact.high], rtol=1e-9)


def test_units_that_agree_count_once() -> None:
    units = np.repeat(np.arange(40), 5)
    correct = np.repeat(np.arange(40) < 31, 5)
    by_unit, by_image = share_estimate(correct, units), share_estimate(correct, None)
    one_each = share_estimate(np.arange(40) < 31, None)
    np.testing.assert_allclose([by_unit.low, by_unit.high], [one_each.low, one_each.high], rtol=1e-9)
    assert by_unit.high - by_unit.low > 2 * (by_image.high - by_image.low)
    assert share_estimate(np.ones(200, dtype=bool), units).low == share_estimate(np.ones(40, dtype=bool), None).low


def test_a_mean_of_many_has_the_normal_interval() -> None:
    values = np.random.default_rng(0).normal(2, 1, 4000)
    found = mean_estimate(values, None)
    half = 1.96 * values.std() / np.sqrt(4000)
    np.testing.assert_allclose(
        [found.value, found.low, found.high], values.mean() + half * np.array([0, -1, 1]), atol=0.004
    )
    by_unit = mean_estimate(np.repeat(values[:400], 10), np.repeat(np.arange(400), 10))
    assert by_unit.high - by_unit.low > 2.5 * (found.high - found.low)


def test_the_change_of_the_error_agrees_with_the_metric() -> None:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 4, 300)
    before, after = generator.dirichlet(np.ones(4) * 0.3, 300), generator.dirichlet(np.ones(4) * 2, 300)
    found = calibration_change(before.max(1), after.max(1), before.argmax(1) == labels, after.argmax(1) == labels, None)
    expected = calibration_error(after, labels) - calibration_error(before, labels)
    np.testing.assert_allclose(found.value, expected, atol=1e-12)


def test_a_change_that_is_none_is_seldom_claimed() -> None:
    claimed = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        confidence = generator.uniform(0.3, 1, 300)
        correct = generator.random(300) < confidence
        other = np.clip(confidence + generator.choice([-0.01, 0.01], 300), 0, 1)
        claimed += calibration_change(confidence, other, correct, correct, None).sign != 0
    assert claimed <= 9  # 5 % of 60 is 3


def test_a_large_change_is_seen() -> None:
    generator = np.random.default_rng(3)
    confidence = generator.uniform(0.3, 1, 2000)  # at 400 images chance often hides a change of this size
    correct = generator.random(2000) < confidence
    assert calibration_change(np.sqrt(confidence), confidence, correct, correct, None).sign == -1
