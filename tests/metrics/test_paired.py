"""Shares and differences against plain loops, and how often they hold what they claim."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from calibrant.errors import InputError
from calibrant.metrics import (
    calibration_error,
    ece_difference,
    paired_difference,
    reliability,
    share,
    summary_with_intervals,
)
from calibrant.metrics.scores import Scores, sample_scores


def scores(confidence, correct):
    nothing = np.zeros(len(confidence))
    return Scores(confidence, correct, nothing, nothing)


def test_a_share_has_the_exact_binomial_interval():
    found = share(np.arange(40) < 31)
    exact = binomtest(31, 40).proportion_ci(0.95, "exact")
    np.testing.assert_allclose([found.value, found.low, found.high], [31 / 40, exact.low, exact.high], rtol=1e-9)


def test_units_that_agree_count_once():
    units = np.repeat(np.arange(40), 5)
    correct = np.repeat(np.arange(40) < 31, 5)
    by_unit, by_image = share(correct, units), share(correct)
    one_each = share(np.arange(40) < 31)
    np.testing.assert_allclose([by_unit.low, by_unit.high], [one_each.low, one_each.high], rtol=1e-9)
    assert by_unit.high - by_unit.low > 2 * (by_image.high - by_image.low)
    assert share(np.ones(200, dtype=bool), units).low == share(np.ones(40, dtype=bool)).low


def test_a_single_unit_counts_once_however_mixed_it_is():
    found, one = share(np.arange(50) % 2 == 0, np.zeros(50)), share([True])
    assert found.high - found.low > one.high - one.low - 0.1


def test_units_of_one_sample_change_nothing():
    correct = np.random.default_rng(0).random(60) < 0.7
    assert share(correct, np.arange(60)[::-1]) == share(correct)


def test_the_effective_number_of_samples_is_that_of_the_bootstrap():
    rng = np.random.default_rng(4)
    units = rng.integers(0, 150, 900)
    correct = rng.random(900) < rng.beta(2, 1, 150)[units]
    found = share(correct, units)
    redrawn = paired_difference(np.zeros(900), correct, units=units, resamples=4000)
    assert found.high - found.low == pytest.approx(redrawn.high - redrawn.low, rel=0.1)
    assert found.high - found.low > 1.3 * (share(correct).high - share(correct).low)


def test_the_bins_of_a_diagram_use_units():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(3), 100), rng.integers(3, size=100)
    once = reliability(probs, labels)
    five, units = (np.tile(probs, (5, 1)), np.tile(labels, 5)), np.tile(np.arange(100), 5)
    by_unit = reliability(*five, units=units)
    np.testing.assert_allclose([by_unit.low, by_unit.high], [once.low, once.high], rtol=1e-9)
    assert (by_unit.count == 5 * once.count).all()
    filled = once.count > 1
    naive = reliability(*five)
    assert (naive.high - naive.low < by_unit.high - by_unit.low)[filled].all()


def test_the_difference_of_many_has_the_normal_interval():
    values = np.random.default_rng(0).normal(2, 1, 4000)
    found = paired_difference(np.zeros(4000), values)
    half = 1.96 * values.std() / np.sqrt(4000)
    expected = values.mean() + half * np.array([0, -1, 1])
    np.testing.assert_allclose([found.value, found.low, found.high], expected, atol=0.004)
    tenfold = paired_difference(np.zeros(4000), np.repeat(values[:400], 10), units=np.repeat(np.arange(400), 10))
    assert tenfold.high - tenfold.low > 2.5 * (found.high - found.low)


def test_sentences_and_tables_share_one_bootstrap():
    rng = np.random.default_rng(3)
    probs, labels = rng.dirichlet(np.ones(3), 200), rng.integers(3, size=200)
    units = rng.integers(0, 60, 200)
    table = summary_with_intervals(probs, labels, units=units)["mean_confidence"]
    sentence = paired_difference(np.zeros(200), probs.max(axis=1), units=units)
    assert (sentence.value, sentence.low, sentence.high) == pytest.approx((table["value"], table["low"], table["high"]))


def test_the_change_of_the_error_agrees_with_the_metric():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 300)
    before, after = rng.dirichlet(np.ones(4) * 0.3, 300), rng.dirichlet(np.ones(4) * 2, 300)
    found = ece_difference(sample_scores(before, labels), sample_scores(after, labels))
    expected = calibration_error(after, labels) - calibration_error(before, labels)
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.value < found.high


def test_a_change_that_is_none_is_seldom_claimed():
    claimed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        confidence = rng.uniform(0.3, 1, 300)
        correct = rng.random(300) < confidence
        other = np.clip(confidence + rng.choice([-0.01, 0.01], 300), 0, 1)
        claimed += ece_difference(scores(confidence, correct), scores(other, correct), resamples=400).sign != 0
    assert claimed <= 9  # 5 % of 60 is 3


def test_a_large_change_is_seen():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.3, 1, 2000)  # at 400 images chance often hides a change of this size
    correct = rng.random(2000) < confidence
    assert ece_difference(scores(np.sqrt(confidence), correct), scores(confidence, correct)).sign == -1


@pytest.mark.parametrize("correct", [True, False])
@pytest.mark.parametrize("samples", [12, 60])
def test_answers_that_are_all_alike_tell_no_gain(samples, correct):
    right = np.full(samples, correct)
    sure = np.random.default_rng(0).uniform(0.85, 0.95, samples)
    found = ece_difference(scores(sure, right), scores(np.full(samples, 0.9999), right))
    possible = binomtest(samples * correct, samples).proportion_ci(0.95, "exact")
    hidden = 2 * (possible.high - possible.low)
    assert found.sign == 0
    assert (found.low, found.high) == pytest.approx((found.value - hidden, found.value + hidden), abs=0.02)


def test_many_right_answers_do_tell_a_large_gain():
    right, sure = np.ones(2000, bool), np.linspace(0.5, 0.7, 2000)
    assert ece_difference(scores(sure, right), scores(np.sqrt(sure), right)).sign == -1
    drawings = np.repeat(np.arange(10), 200)  # of ten drawings
    assert ece_difference(scores(sure, right), scores(np.sqrt(sure), right), units=drawings).sign == 0


def test_a_single_unit_has_no_interval():
    assert not paired_difference([0, 1], [1, 1], units=["a", "a"]).known
    one = scores(np.array([0.5, 0.7]), np.array([True, False]))
    assert not ece_difference(one, one, units=["a", "a"]).known


def test_other_samples_are_refused():
    with pytest.raises(InputError, match="the same samples, not 2 and 1"):
        paired_difference([0, 1], [1])
    with pytest.raises(InputError, match="the same samples, not 1 and 2"):
        ece_difference(scores(np.ones(1), np.ones(1, bool)), scores(np.ones(2), np.ones(2, bool)))
    with pytest.raises(InputError, match="one value per sample"):
        share([])
