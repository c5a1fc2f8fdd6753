"""Ensemble temperature scaling against a search over all weights."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scaling_toy import drawn

from calibrant.arrays import softmax
from calibrant.calibration import EnsembleTemperature, TemperatureScaling
from calibrant.calibration.ensemble_temperature import mixture_weights
from calibrant.errors import CalibrantWarning
from calibrant.metrics import nll_from_logits


def noisy(seed, samples=1500, classes=4):
    """Over-confident logits, a third of whose labels are anything: no temperature alone fits."""
    logits, labels = drawn(seed, samples, classes)
    rng = np.random.default_rng(seed)
    return 2 * logits, np.where(rng.random(samples) < 0.3, rng.integers(classes, size=samples), labels)


@pytest.mark.parametrize("seed", range(3))
def test_no_other_weights_are_better(seed):
    logits, labels = noisy(seed)
    fitted = EnsembleTemperature().fit(logits, labels)
    parts = [softmax(logits / fitted.temperature_), softmax(logits), np.full_like(logits, 1 / 4)]
    of_label = np.stack([part[np.arange(len(labels)), labels] for part in parts], axis=1)
    best = -np.log(of_label @ fitted.weights_).mean()
    for i, j in itertools.product(range(51), repeat=2):
        if i + j <= 50:
            weights = np.array([i, j, 50 - i - j]) / 50
            with np.errstate(divide="ignore"):
                assert -np.log(of_label @ weights).mean() >= best - 1e-7
    mixed = sum(weight * part for weight, part in zip(fitted.weights_, parts, strict=True))
    assert fitted.predict_proba(logits) == pytest.approx(mixed, abs=1e-12)


def test_is_the_temperature_with_the_smallest_loss():
    logits, labels = noisy(3)
    scaling = TemperatureScaling().fit(logits, labels)
    fitted = EnsembleTemperature().fit(logits, labels)
    assert fitted.temperature_ == scaling.temperature_
    after = -np.log(fitted.predict_proba(logits)[np.arange(len(labels)), labels]).mean()
    assert after <= nll_from_logits(logits / scaling.temperature_, labels) + 1e-9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40))
def test_weights_are_optimal_for_any_parts(seed, samples):
    rng = np.random.default_rng(seed)
    parts = np.column_stack([rng.random((samples, 2)) ** rng.integers(1, 6), np.full(samples, 0.1)])
    weights = mixture_weights(parts)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()
    best = np.log(np.maximum(parts @ weights, 1e-300)).mean()
    for other in rng.dirichlet([1, 1, 1], size=50):
        other = np.append(other[:2], min(other[2], 0.999))
        assert np.log(parts @ (other / other.sum())).mean() <= best + 1e-5


def test_answers_stay_even_where_logits_are_worthless():
    rng = np.random.default_rng(0)
    logits, labels = 10 * rng.normal(size=(500, 6)), rng.integers(6, size=500)
    with pytest.warns(CalibrantWarning, match="no better than chance"):
        probs = EnsembleTemperature().fit(logits, labels).predict_proba(logits)
    assert (probs.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert probs.max() < 0.6


def test_huge_logits_do_not_overflow():
    logits, labels = noisy(4, samples=200)
    fitted = EnsembleTemperature().fit(1e6 * logits, labels)
    assert np.isfinite(fitted.predict_proba(1e6 * logits)).all()
