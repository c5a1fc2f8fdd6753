"""Bayesian binning into quantiles against loops over its definition."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.calibration import BBQ
from calibrant.errors import InputError


def histogram(values, right, bins):
    """Upper edges, shares and log marginal likelihood of one equal-mass histogram; ties stay together."""
    ranked = sorted(values)
    edges = sorted({ranked[math.ceil(len(ranked) * b / bins) - 1] for b in range(1, bins)} - {ranked[-1]})
    edges.append(1.0)
    shares, score, low = [], 0.0, 0.0
    for k, high in enumerate(edges):
        inside = [r for v, r in zip(values, right, strict=True) if v <= high and (k == 0 or v > low)]
        n, m, q = len(inside), sum(inside), (low + high) / 2
        a, b = 2 * q, 2 * (1 - q)
        score += math.lgamma(2) - math.lgamma(n + 2)
        score += math.lgamma(m + a) - math.lgamma(a) + math.lgamma(n - m + b) - math.lgamma(b)
        shares.append((m + a) / (n + 2))
        low = high
    return edges, shares, score


def averaged(values, right, at):
    root = len(values) ** (1 / 3)
    lowest, highest = max(1, math.floor(root / 10)), min(len(values), math.ceil(round(10 * root, 9)))
    models = [histogram(values, right, bins) for bins in range(lowest, highest + 1)]
    best = max(score for *_, score in models)
    total = sum(math.exp(score - best) for *_, score in models)
    estimate = 0.0
    for edges, shares, score in models:
        which = next(k for k, edge in enumerate(edges) if at <= edge)
        estimate += math.exp(score - best) / total * shares[which]
    return estimate


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(1, 40), st.booleans())
def test_as_defined(seed, classes, samples, tied):
    rng = np.random.default_rng(seed)
    logits, unseen = 2 * rng.normal(size=(samples, classes)), 3 * rng.normal(size=(5, classes))
    if tied:
        logits = np.round(logits)
    labels = rng.permuted(logits, axis=1).argmax(axis=1)
    fit, used = Predictions(logits=logits, labels=labels), Predictions(logits=unseen)
    expected = np.empty((5, classes))
    for c in range(classes):
        of_class, right = fit.probabilities()[:, c].tolist(), (labels == c).astype(int).tolist()
        expected[:, c] = [averaged(of_class, right, at) for at in used.probabilities()[:, c]]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(BBQ().fit(fit)(used), expected, atol=1e-9)


def test_many_samples_use_few_bins_where_labels_need_no_more():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(5000, 2))
    fitted = BBQ().fit(logits, rng.integers(2, size=5000))
    np.testing.assert_allclose(fitted.predict_proba(logits), 0.5, atol=0.1)
    assert fitted.maps_[0].shape[1] < 300, "histograms that count for nothing are left out"


def test_no_estimate_is_exactly_0_or_1():
    p = BBQ().fit([[1000.0, 0.0], [0.0, 1000.0]] * 20, [0, 1] * 20).predict_proba([[1000.0, 0.0]])
    assert 0 < p.min() < 0.1


@pytest.mark.parametrize("maps", [[np.array([[1.0], [0.5]])], [np.array([[1.0], [1.5]])] * 2])
def test_impossible_maps_are_refused(maps):
    with pytest.raises(InputError, match="maps_ must"):
        BBQ().restore({"maps_": maps}, ["cat", "dog"])
