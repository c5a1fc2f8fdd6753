"""The interval of the ECE in small sets, where bins hold a few samples that are all right: it still holds the truth."""

from functools import cache

import numpy as np
import pytest

from calibrant.metrics import calibration_p_value, clopper_pearson, interval
from calibrant.metrics.intervals import intervals_of
from calibrant.metrics.scores import Scores

MODELS = {  # the spread of confidence (from a, Beta) and the accuracy at each
    "calibrated": (0.3, 3, 1.2, lambda c: c),
    "over-confident": (0.3, 3, 1.2, lambda c: c - 0.15),
    "nearly perfect": (0.9, 3, 1, lambda c: np.full_like(c, 0.97)),
}


def drawn_set(rng, samples, model):
    start, a, b, accuracy = MODELS[model]
    confidence = start + (1 - start) * rng.beta(a, b, samples)
    nothing = np.zeros(samples)
    return Scores(confidence, rng.random(samples) < accuracy(confidence), nothing, nothing)


@cache
def true_error(model):
    """The binned error of the population, from 200,000 confidences."""
    confidence = drawn_set(np.random.default_rng(99), 200_000, model).confidence
    index = np.minimum(np.ceil(confidence * 15).astype(int) - 1, 14)
    return np.abs(np.bincount(index, MODELS[model][3](confidence) - confidence)).sum() / len(confidence)


def held(model, samples, sets):
    """In how many of the sets the interval holds the true error."""
    rng, truth, count = np.random.default_rng(samples), true_error(model), 0
    for seed in range(sets):
        low, high = intervals_of(drawn_set(rng, samples, model), 15, None, 0.95, 100, seed, ("ece",))["ece"]
        count += low <= truth <= high
    return count


# noise of small bins makes the interval wide; at 200 samples it is not, and 200 sets vary around the nominal 95 %:
# 0.904 is 3 standard deviations below it
@pytest.mark.parametrize(("samples", "sets", "bound"), [(20, 100, 0.95), (50, 100, 0.95), (200, 200, 0.904)])
@pytest.mark.parametrize("model", MODELS)
def test_small_sets_hold_the_truth(model, samples, sets, bound):
    assert held(model, samples, sets) >= bound * sets


@pytest.mark.parametrize("model", ["calibrated", "nearly perfect"])
def test_they_would_not_if_bins_without_spread_were_taken_as_known(model, monkeypatch):
    monkeypatch.setattr(
        "calibrant.metrics.intervals.effective_counts", lambda correct, cell, cells, unit: np.full(cells, 1e9)
    )
    assert held(model, 20, 100) < 0.7 * 100


def sure(confidence, samples):
    return [[confidence, 1 - confidence]] * samples, [0] * samples


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.86, 0.9, 0.99, 1.0])
def test_a_single_bin_that_is_all_right_has_the_exact_interval(confidence):
    bottom = float(clopper_pearson(20, 20)[0])
    low, high = interval(*sure(confidence, 20))
    assert low == pytest.approx(max(0, bottom - confidence), abs=2e-3)
    assert high == pytest.approx(max(confidence - bottom, 1 - confidence), abs=2e-3)


def test_a_single_bin_that_is_all_wrong_has_the_exact_interval():
    top = float(clopper_pearson(0, 20)[1])
    low, high = interval([[0.6, 0.4]] * 20, [1] * 20)
    assert (low, high) == pytest.approx((0.6 - top, 0.6), abs=2e-3)


def test_calibration_that_the_p_value_does_not_doubt_is_inside():
    answers = sure(0.9, 20)
    assert calibration_p_value(*answers) > 0.2
    assert interval(*answers).low == 0


def test_samples_that_depend_on_each_other_count_once():
    probs, labels = sure(0.9, 20)
    units = np.repeat(np.arange(4), 5)
    bottom = float(clopper_pearson(4, 4)[0])
    assert interval(probs, labels, units=units) == pytest.approx((0, 0.9 - bottom), abs=2e-3)


def test_a_bin_of_a_single_unit_has_noise():
    """Half of it is right in every redrawn set, but another unit may differ."""
    probs = [[0.95, 0.05]] * 40 + [[0.55, 0.45]] * 40
    labels = [0] * 20 + [1] * 20 + [0, 1] * 20
    low, high = interval(probs, labels, units=[0] * 40 + [1] * 40)
    assert low == 0
    assert high > 0.5


def test_the_seed_alone_decides():
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 1, 30)
    probs, labels = np.stack([confidence, 1 - confidence], axis=1), (rng.random(30) < 0.1).astype(int)
    found = [interval(probs, labels, "ace", resamples=200, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]
