"""The temperature with the smallest ECE against a plain search."""

import numpy as np
import pytest
from scaling_toy import drawn

from calibrant.arrays import softmax
from calibrant.calibration import ECETemperature, TemperatureScaling
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics import calibration_error


def plain_ece(logits, labels, temperature, bins=15):
    """ECE from its definition, bin by bin."""
    probs = softmax(logits / temperature)
    confidence, right = probs.max(axis=1), logits.argmax(axis=1) == labels
    total = 0.0
    for low in range(bins):
        inside = (confidence > low / bins) & (confidence <= (low + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_temperature_near_by_has_a_clearly_smaller_error(seed, dtype):
    logits, labels = drawn(seed, samples=1500)
    logits = (3 * logits).astype(dtype)
    fitted = ECETemperature().fit(logits, labels)
    assert fitted.ece_ == pytest.approx(plain_ece(logits.astype(float), labels, fitted.temperature_), abs=1e-9)
    assert fitted.ece_ == pytest.approx(calibration_error(fitted.predict_proba(logits), labels), abs=1e-9)
    searched = min(plain_ece(logits.astype(float), labels, t) for t in np.exp(np.linspace(-1, 3, 400)))
    assert fitted.ece_ <= searched + 2e-3
    of_likelihood = TemperatureScaling().fit(logits, labels).temperature_
    assert fitted.ece_ <= plain_ece(logits.astype(float), labels, of_likelihood) + 1e-12


def test_finds_the_scale_that_was_put_in():
    logits, labels = drawn(5, samples=20_000)
    assert ECETemperature().fit(4 * logits, labels).temperature_ == pytest.approx(4, rel=0.1)


def test_the_end_of_what_is_tried_is_reported():
    # half right at any confidence: the likelihood stops at a probability of 1/2, above which the error cannot be 0
    rng = np.random.default_rng(0)
    labels = rng.integers(20, size=400)
    with pytest.warns(CalibrantWarning):
        fitted = ECETemperature().fit(np.eye(20)[rng.integers(20, size=400)], labels)
    assert 0 < fitted.temperature_ < np.inf


def test_samples_without_an_error_do_not_make_anything_surer():
    labels = np.arange(12) % 3
    with pytest.warns(CalibrantWarning, match="largest logit"):
        fitted = ECETemperature().fit(5 * np.eye(3)[labels], labels)
    assert fitted.at_bound_
    assert fitted.temperature_ == 1
    assert fitted.ece_ == pytest.approx(2 / (np.exp(5) + 2))


@pytest.mark.parametrize("bins", [0, 2.5, True, "ten"])
def test_impossible_bins_are_refused(bins):
    with pytest.raises(InputError, match="bins of calibrator 'ece-temperature'"):
        ECETemperature(bins=bins).fit(*drawn(0, samples=20))
