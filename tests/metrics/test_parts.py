"""Calibration error and Brier score in parts: the parts are right and add up."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrant import metrics

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(4) * 0.5, 500)
LABELS = np.where(RNG.random(500) < 0.5, PROBS.argmax(axis=1), RNG.integers(4, size=500))


def edges_hold(value, b, bins):
    return b / bins < value <= (b + 1) / bins or (b == 0 and value == 0)


def test_the_split_equals_a_loop():
    over = under = 0.0
    confidence, right = PROBS.max(axis=1), PROBS.argmax(axis=1) == LABELS
    for b in range(15):
        here = np.array([edges_hold(c, b, 15) for c in confidence])
        if here.any():
            gap = confidence[here].mean() - right[here].mean()
            over += here.mean() * max(gap, 0)
            under += here.mean() * max(-gap, 0)
    assert metrics.confidence_split(PROBS, LABELS) == pytest.approx((over, under), abs=1e-12)


@pytest.mark.parametrize("binning", ["width", "mass", "adaptive"])
def test_the_parts_of_the_error_add_up(binning):
    split = metrics.confidence_split(PROBS, LABELS, 10, binning)
    assert split.over + split.under == pytest.approx(metrics.calibration_error(PROBS, LABELS, 10, binning), abs=1e-12)
    assert split.over - split.under == pytest.approx(metrics.signed_gap(PROBS, LABELS), abs=1e-12)


def test_the_parts_of_the_brier_score_equal_a_loop():
    n, reliability, resolution, uncertainty, variance, covariance = len(LABELS), 0.0, 0.0, 0.0, 0.0, 0.0
    for c in range(4):
        p, true = PROBS[:, c], (c == LABELS).astype(float)
        uncertainty += true.mean() * (1 - true.mean())
        for b in range(15):
            here = np.array([edges_hold(value, b, 15) for value in p])
            if here.any():
                reliability += here.sum() / n * (p[here].mean() - true[here].mean()) ** 2
                resolution += here.sum() / n * (true[here].mean() - true.mean()) ** 2
                variance += ((p[here] - p[here].mean()) ** 2).sum() / n
                covariance += ((p[here] - p[here].mean()) * (true[here] - true[here].mean())).sum() / n
    within = variance - 2 * covariance  # Stephenson et al.
    found = metrics.brier_decomposition(PROBS, LABELS)
    assert found == pytest.approx((reliability, resolution, uncertainty, within), abs=1e-12)


@pytest.mark.parametrize("binning", ["width", "mass"])
@pytest.mark.parametrize("bins", [1, 5, 50])
def test_the_parts_of_the_brier_score_add_up(bins, binning):
    parts = metrics.brier_decomposition(PROBS.astype(np.float32), LABELS, bins, binning)
    whole = parts.reliability - parts.resolution + parts.uncertainty + parts.within
    assert whole == pytest.approx(metrics.brier(PROBS, LABELS), abs=1e-6)
    assert min(parts[:3]) >= 0


def test_forecasts_of_few_values_have_nothing_within():
    probs = np.array([[0.25, 0.75], [0.5, 0.5]])[RNG.integers(2, size=300)]
    parts = metrics.brier_decomposition(probs, RNG.integers(2, size=300))
    assert parts.within == pytest.approx(0, abs=1e-12)


def test_shares_of_the_classes_are_calibrated_and_tell_nothing():
    labels = np.repeat([0, 1, 1, 1], 25)
    parts = metrics.brier_decomposition([[0.25, 0.75]] * 100, labels)
    assert parts == pytest.approx((0, 0, 0.375, 0), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30))
def test_parts_are_bounded(pairs):
    p = np.array([value / 8 for value, _ in pairs])
    probs, labels = np.stack([p, 1 - p], axis=1), [int(flag) for _, flag in pairs]
    split = metrics.confidence_split(probs, labels)
    assert 0 <= split.over <= 1
    assert 0 <= split.under <= 1
    parts = metrics.brier_decomposition(probs, labels)
    assert 0 <= parts.uncertainty <= 0.5 + 1e-12
    assert parts.within == pytest.approx(0, abs=1e-12)  # eighths have bins of their own
