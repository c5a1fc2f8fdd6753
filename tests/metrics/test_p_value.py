"""The p-value of "no calibration error beyond noise": rightly seldom small, and small where there is an error."""

import numpy as np
import pytest

from calibrant.errors import InputError
from calibrant.metrics import calibration_p_value, noise_floor, summary_with_intervals
from calibrant.metrics.binning import binned
from calibrant.metrics.calibration import plain_l1


def draw(rng, samples, miss=0.0):
    """Two classes; the first one is right with a probability that is `miss` below the confidence."""
    confidence = rng.uniform(0.5, 1, samples)
    return np.stack([confidence, 1 - confidence], axis=1), (rng.random(samples) > confidence - miss).astype(int)


def uniform(p):
    """Whether p-values of true hypotheses are small no more often than they may be, within four standard errors."""
    return all((p <= a).mean() <= a + 4 * np.sqrt(a * (1 - a) / len(p)) for a in (0.05, 0.1, 0.25, 0.5))


def test_it_is_small_no_more_often_than_it_may_be():
    rng = np.random.default_rng(0)
    p = np.array([calibration_p_value(*draw(rng, 200), resamples=200, seed=i) for i in range(300)])
    assert uniform(p)
    assert 0.4 < p.mean() < 0.6  # nor more seldom than it should


def test_units_that_agree_do_not_pass_for_evidence():
    rng, by_unit, naive = np.random.default_rng(1), [], []
    for seed in range(150):
        probs, labels = draw(rng, 60)
        many, units = (np.repeat(probs, 6, axis=0), np.repeat(labels, 6)), np.repeat(np.arange(60), 6)
        by_unit.append(calibration_p_value(*many, units=units, resamples=200, seed=seed))
        naive.append(calibration_p_value(*many, resamples=200, seed=seed))
    assert uniform(np.array(by_unit))
    assert np.mean(np.array(naive) <= 0.05) > 0.5


def test_an_error_is_found():
    rng = np.random.default_rng(2)
    assert calibration_p_value(*draw(rng, 1000, miss=0.1)) < 0.01
    probs, labels = draw(rng, 1000, miss=0.1)
    five, units = np.repeat(np.arange(1000), 5), np.repeat(np.arange(1000), 5)
    assert calibration_p_value(probs[five], labels[five], units=units) < 0.01


def test_it_equals_a_loop_over_drawn_sets():
    rng = np.random.default_rng(3)
    probs, labels = draw(rng, 150, miss=0.05)
    confidence, correct = probs.max(axis=1), labels == 0
    measured = float(plain_l1(binned(confidence, correct, 10, "width")))
    drawn = [float(plain_l1(binned(confidence, rng.random(150) < confidence, 10, "width"))) for _ in range(4000)]
    assert calibration_p_value(probs, labels, 10, resamples=4000) == pytest.approx(
        np.mean(np.array(drawn) >= measured), abs=0.04
    )
    assert np.mean(drawn) == pytest.approx(noise_floor(probs, 10), rel=0.05)  # the floor is their mean


def test_all_right_with_high_confidence_is_no_error():
    assert calibration_p_value([[0.98, 0.02]] * 20, [0] * 20) > 0.5
    assert calibration_p_value([[1.0, 0.0]] * 20, [0] * 20) == 1.0
    assert calibration_p_value([[1.0, 0.0]] * 20, [0] * 19 + [1]) < 0.01  # certain and wrong
    assert calibration_p_value([[0.7, 0.3]], [0]) > 0.5


def test_the_summary_states_it_beside_the_error():
    probs, labels = draw(np.random.default_rng(4), 300)
    found = summary_with_intervals(probs, labels, resamples=300, seed=5)
    assert found["ece"]["p_value"] == calibration_p_value(probs, labels, resamples=300, seed=5)
    assert "consistency resampling" in found["ece"]["definition"]
    assert not any("p_value" in one for name, one in found.items() if name != "ece")
    assert "p_value" not in summary_with_intervals(probs, labels, level=None)["ece"]


def test_bad_options_are_refused():
    with pytest.raises(InputError, match="resamples"):
        calibration_p_value([[0.7, 0.3]], [0], resamples=0)
    with pytest.raises(InputError, match="units have shape"):
        calibration_p_value([[0.7, 0.3]], [0], units=[1, 2])
