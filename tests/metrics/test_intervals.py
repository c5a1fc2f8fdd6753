"""Intervals: exact ones against SciPy, bootstrap ones by how often they hold the truth."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from calibrant.errors import InputError
from calibrant.metrics import clopper_pearson, interval, noise_floor, reliability, summary_with_intervals
from calibrant.metrics.bootstrap import bootstrap
from calibrant.metrics.calibration import plain_l1
from calibrant.metrics.intervals import intervals_of
from calibrant.metrics.scores import Scores

EDGES = np.arange(16) / 15
SHAPES = {
    "calibrated": lambda c: c,
    "mild": lambda c: c - 0.15 * c * (1 - c),
    "strong": lambda c: c - 0.12,
    "in the last bins": lambda c: np.where(c > 0.9, c - 0.1, c),
}


def confidences(rng, samples):
    return 0.3 + 0.7 * rng.beta(3, 1.2, samples)


def true_error(shape):
    """The binned error of the population, from a million confidences."""
    confidence = confidences(np.random.default_rng(99), 1_000_000)
    index = np.minimum(np.ceil(confidence * 15).astype(int) - 1, 14)
    return np.abs(np.bincount(index, SHAPES[shape](confidence) - confidence)).sum() / len(confidence)


def scores(confidence, correct):
    nothing = np.zeros(len(confidence))
    return Scores(confidence, correct, nothing, nothing)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_interval_of_ece_holds_the_truth_where_percentiles_do_not(shape):
    rng, truth, sets = np.random.default_rng(5), true_error(shape), 100
    held, percentile_held = 0, 0
    for seed in range(sets):
        confidence = confidences(rng, 600)
        found = scores(confidence, rng.random(600) < SHAPES[shape](confidence))
        low, high = intervals_of(found, 15, None, 0.95, 200, seed)["ece"]
        held += low <= truth <= high
        redrawn = plain_l1(bootstrap(found, EDGES, np.arange(600), 200, seed).bins)
        percentile_held += np.quantile(redrawn, 0.025) <= truth <= np.quantile(redrawn, 0.975)
    assert held >= 0.88 * sets  # 95 % nominal; 0.88 is 3 standard deviations of 100 draws below it
    if shape in ("calibrated", "mild"):
        assert percentile_held < 0.5 * sets


def test_intervals_by_unit_hold_the_truth_where_samples_of_a_unit_agree():
    rng, sets, held, naive_held = np.random.default_rng(6), 100, 0, 0
    population = np.random.default_rng(7)
    truth = confidences(population, 500_000).mean()
    for seed in range(sets):
        confidence = np.repeat(confidences(rng, 80), 10)
        latent = np.sqrt(0.7) * np.repeat(rng.normal(size=80), 10) + np.sqrt(0.3) * rng.normal(size=800)
        found = scores(confidence, norm.cdf(latent) < confidence)
        units = np.repeat(np.arange(80), 10)
        low, high = intervals_of(found, 15, units, 0.95, 200, seed)["accuracy"]
        held += low <= truth <= high
        low, high = intervals_of(found, 15, None, 0.95, 10, seed)["accuracy"]
        naive_held += low <= truth <= high
    assert held >= 0.88 * sets
    assert naive_held < 0.75 * sets


@pytest.mark.parametrize(("right", "count"), [(0, 5), (3, 5), (5, 5), (70, 100), (1, 1)])
def test_clopper_pearson_equals_scipy(right, count):
    expected = binomtest(right, count).proportion_ci(0.95, method="exact")
    low, high = clopper_pearson(right, count)
    assert (float(low), float(high)) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_clopper_pearson_of_nothing_is_unknown():
    assert np.isnan(clopper_pearson(0, 0)).all()


def test_an_all_right_set_has_an_accuracy_interval_below_1():
    low, high = interval([[1.0, 0.0]] * 20, [0] * 20, "accuracy", resamples=20)
    assert (low, high) == pytest.approx((0.832, 1), abs=1e-3)


def test_intervals_depend_on_the_seed_only():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(3), 200), rng.integers(3, size=200)
    first = summary_with_intervals(probs, labels, resamples=50)
    assert first == summary_with_intervals(probs, labels, resamples=50)
    assert first["nll"] != summary_with_intervals(probs, labels, resamples=50, seed=1)["nll"]
    assert first["brier"]["low"] < first["brier"]["value"] < first["brier"]["high"]


def test_copies_of_a_unit_do_not_narrow_its_interval():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(3), 100), rng.integers(3, size=100)
    once = interval(probs, labels, "nll", resamples=400)
    many = interval(np.tile(probs, (5, 1)), np.tile(labels, 5), "nll", units=np.tile(np.arange(100), 5), resamples=400)
    assert many == pytest.approx(once)


def test_without_two_units_or_with_an_infinite_value_there_is_no_interval():
    assert interval([[0.5, 0.5]], [0]) is None
    assert interval([[0.5, 0.5]] * 4, [0] * 4, units=["a"] * 4) is None
    found = summary_with_intervals([[1.0, 0.0]] * 40, [0] * 20 + [1] * 20, resamples=20)["nll"]
    assert (found["value"], found["low"], found["high"]) == (np.inf, None, None)


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="did you mean 'ece'"):
        interval([[0.5, 0.5]], [0], "ecee")
    with pytest.raises(InputError, match=r"units have shape \[1\]"):
        interval([[0.5, 0.5]] * 2, [0, 1], units=["a"])
    with pytest.raises(InputError, match="level"):
        interval([[0.5, 0.5]] * 2, [0, 1], level=95)
    with pytest.raises(InputError, match="resamples"):
        interval([[0.5, 0.5]] * 2, [0, 1], resamples=0)


def test_reliability_counts_every_sample_once_with_its_exact_interval():
    rng = np.random.default_rng(0)
    probs, labels = rng.dirichlet(np.ones(4), 300), rng.integers(4, size=300)
    curve = reliability(probs, labels, bins=10)
    assert curve.count.sum() == 300
    filled = curve.count > 0
    assert (np.isnan(curve.accuracy) == ~filled).all()
    for b in np.flatnonzero(filled):
        chosen = (probs.max(axis=1) > b / 10) & (probs.max(axis=1) <= (b + 1) / 10)
        right = (probs.argmax(axis=1) == labels)[chosen]
        assert curve.count[b] == chosen.sum()
        assert curve.accuracy[b] == pytest.approx(right.mean())
        assert curve.confidence[b] == pytest.approx(probs.max(axis=1)[chosen].mean())
        expected = binomtest(int(right.sum()), int(chosen.sum())).proportion_ci(0.95, method="exact")
        assert (curve.low[b], curve.high[b]) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_calibrated_model_is_within_its_noise_floor_most_of_the_time():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1, 2000)
    probs = np.stack([confidence, 1 - confidence], axis=1)
    found = summary_with_intervals(probs, (rng.random(2000) > confidence).astype(int), resamples=200)
    assert found["ece_noise_floor"]["value"] == noise_floor(probs)
    assert found["ece"]["low"] == 0
    assert found["ece"]["value"] < 2 * noise_floor(probs)
