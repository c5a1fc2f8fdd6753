"""Two models on the same samples: every measure's difference, and its interval."""

import math

import numpy as np
import pytest

from calibrant import metrics
from calibrant.errors import InputError

RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=600)
LOGITS = RNG.normal(size=(600, 3)) + 1.5 * np.eye(3)[LABELS]


def softmax(logits):
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


SURE, MILD = softmax(3 * LOGITS), softmax(1.5 * LOGITS)  # too sure, and calibrated


def test_values_are_differences_of_the_summary():
    found = metrics.compare(SURE, MILD, LABELS, resamples=50)
    before, after = metrics.summary(SURE, LABELS), metrics.summary(MILD, LABELS)
    assert found.keys() == before.keys()
    for name, one in found.items():
        assert one.value == pytest.approx(after[name] - before[name], abs=1e-12)
    assert {name for name, one in found.items() if not one.known} == {
        "mce",
        "classwise_ece",
        "overconfidence",
        "underconfidence",
        "ece_noise_floor",
    }


def test_what_temperature_cannot_change_does_not_change():
    found = metrics.compare(SURE, MILD, LABELS, resamples=100)
    for name in ("accuracy", "balanced_accuracy", "macro_f1"):
        assert (found[name].value, found[name].low, found[name].high) == (0, 0, 0)
    assert found["ece"].sign == found["nll"].sign == found["mean_confidence"].sign == found["ace"].sign == -1


def test_intervals_are_those_of_pairs():
    found = metrics.compare(SURE, MILD, LABELS, resamples=400)
    nll = [-np.log(p[np.arange(600), LABELS]) for p in (SURE, MILD)]
    alone = metrics.paired_difference(*nll, resamples=400)
    assert (found["nll"].low, found["nll"].high) == pytest.approx((alone.low, alone.high))
    noisy = softmax(3 * LOGITS + 0.05 * RNG.normal(size=LOGITS.shape))
    paired = metrics.compare(SURE, noisy, LABELS, measures=["auroc", "aurc"], resamples=200)
    one = metrics.summary_with_intervals(SURE, LABELS, measures=["auroc", "aurc"], resamples=200)
    for name in ("auroc", "aurc"):  # what is hard for both cancels
        assert paired[name].high - paired[name].low < 0.5 * (one[name]["high"] - one[name]["low"])


def test_no_difference_is_seldom_claimed_and_a_difference_is_seen():
    claimed = dict.fromkeys(("auroc", "aurc", "balanced_accuracy", "accuracy", "nll"), 0)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels = rng.integers(3, size=300)
        logits = rng.normal(size=(300, 3)) + 1.5 * np.eye(3)[labels]
        pair = [softmax(2 * (logits + rng.normal(size=(300, 3)))) for _ in range(2)]
        found = metrics.compare(*pair, labels, measures=list(claimed), resamples=200, seed=seed)
        for name in claimed:
            claimed[name] += found[name].sign != 0
    assert max(claimed.values()) <= 9, claimed  # 5 % of 60 is 3
    worse = softmax(3 * (LOGITS + RNG.normal(size=LOGITS.shape)))
    found = metrics.compare(SURE, worse, LABELS, resamples=200)
    assert found["accuracy"].sign == found["balanced_accuracy"].sign == -1
    assert found["aurc"].sign == 1


def test_units_widen():
    five, units = np.repeat(np.arange(600), 5), np.repeat(np.arange(600), 5)
    names = ["nll", "ece", "auroc", "balanced_accuracy"]
    worse = softmax(2 * (LOGITS + RNG.normal(size=LOGITS.shape)))
    once = metrics.compare(SURE, worse, LABELS, measures=names, resamples=100)
    many = metrics.compare(SURE[five], worse[five], LABELS[five], units=units, measures=names, resamples=100)
    for name in names:
        assert (many[name].low, many[name].high) == pytest.approx((once[name].low, once[name].high))


def test_infinite_losses_and_single_units_have_no_interval():
    certain = np.eye(3)[np.zeros(600, dtype=int)]
    found = metrics.compare(certain, MILD, LABELS, measures=["nll"], resamples=20)["nll"]
    assert found.value == -math.inf
    assert not found.known
    assert math.isnan(metrics.compare(certain, certain, LABELS, measures=["nll"], resamples=20)["nll"].value)
    assert not metrics.compare(SURE, MILD, LABELS, measures=["nll"], units=["a"] * 600)["nll"].known
    assert not metrics.compare(SURE, MILD, LABELS, measures=["nll"], level=None)["nll"].known


def test_other_classes_or_samples_are_refused():
    with pytest.raises(InputError, match="the same classes, not 3 and 2"):
        metrics.compare(SURE, [[0.5, 0.5]] * 600, np.minimum(LABELS, 1))
    with pytest.raises(InputError, match="599 rows"):
        metrics.compare(SURE, MILD[:-1], LABELS)
    with pytest.raises(InputError, match="level"):
        metrics.compare(SURE, MILD, LABELS, level=95)
