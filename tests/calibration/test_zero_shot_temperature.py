"""The zero-shot temperature against a search on the zero-shot logits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import TemperatureScaling, ZeroShotTemperature, load
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics import nll_from_logits


def predictions(seed=0, samples=600, classes=6, **others):
    """Zero-shot logits that are twice too large for their labels, and quite other tuned ones."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(samples, classes))
    labels = (rng.random((samples, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    tuned = 4 * np.eye(classes)[labels] + 2 * rng.normal(size=logits.shape)
    return Predictions(logits=tuned, zero_shot_logits=2 * logits, labels=labels, **others)


def test_fits_on_the_zero_shot_logits_alone():
    given_ = predictions()
    fitted = ZeroShotTemperature().fit(given_)
    found = minimize_scalar(
        lambda u: nll_from_logits(given_.zero_shot_logits * np.exp(-u), given_.labels),
        bounds=(-5, 5),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert fitted.temperature_ == pytest.approx(np.exp(found.x), rel=1e-4)
    assert fitted.temperature_ == pytest.approx(2, rel=0.2)
    assert not fitted.at_bound_
    of_tuned = TemperatureScaling().fit(given_.logits, given_.labels).temperature_
    assert abs(of_tuned - fitted.temperature_) > 0.5


def test_uses_it_on_the_tuned_logits():
    given_ = predictions()
    fitted = ZeroShotTemperature().fit(given_)
    assert fitted(given_) == pytest.approx(softmax(given_.logits / fitted.temperature_), abs=1e-12)


def test_what_is_carried_over_is_the_factor_of_the_cosine():
    cosines = 0.03 * np.random.default_rng(1).normal(size=(50, 4))
    fitted = ZeroShotTemperature()
    fitted.fit(predictions(classes=4))
    expected = softmax(100 * cosines / fitted.temperature_)
    for scale in (20.0, 100.0, 350.0):
        tuned = Predictions(logits=scale * cosines, logit_scale=scale, zero_shot_logit_scale=100)
        assert fitted(tuned) == pytest.approx(expected, abs=1e-12)
    same = Predictions(logits=100 * cosines, logit_scale=100)  # the other scale is not known
    assert fitted(same) == pytest.approx(expected, abs=1e-12)


def test_other_classes_and_no_zero_shot_logits_will_do_at_use(tmp_path):
    fitted = ZeroShotTemperature().fit(predictions())
    other = Predictions(logits=np.random.default_rng(2).normal(size=(9, 12)))
    assert fitted(other) == pytest.approx(softmax(other.logits / fitted.temperature_), abs=1e-12)
    fitted.save(tmp_path / "z.json")
    assert (load(tmp_path / "z.json")(other) == fitted(other)).all()


@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(0.01, 100))
def test_no_answer_changes(seed, temperature, scale):
    fitted = ZeroShotTemperature()
    fitted.restore({"temperature_": temperature, "at_bound_": False}, ["cat", "dog"])
    logits = np.random.default_rng(seed).normal(size=(40, 9)).astype(np.float32)
    given_ = Predictions(logits=logits, logit_scale=scale, zero_shot_logit_scale=1.0)
    assert (fitted.predict_proba(logits).argmax(axis=1) == logits.argmax(axis=1)).all()
    assert (fitted(given_).argmax(axis=1) == logits.argmax(axis=1)).all()


def test_a_zero_shot_model_without_an_error_leaves_the_tuned_one_as_sure_as_it_is():
    given_ = Predictions(logits=np.eye(3), zero_shot_logits=3 * np.eye(3), labels=[0, 1, 2])
    with pytest.warns(CalibrantWarning, match="every label has the largest logit"):
        fitted = ZeroShotTemperature().fit(given_)
    assert fitted.at_bound_
    assert fitted.temperature_ == 1
    assert fitted(given_) == pytest.approx(softmax(np.eye(3)))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"labels": [0, 1]}, "calibrator 'zero-shot-temperature' needs zero_shot_logits, which these predictions lack"),
        ({"zero_shot_logits": np.eye(2)}, "fitted on labelled predictions, and these have no labels"),
        ({"zero_shot_logits": np.eye(2), "labels": [0, -1]}, "1 belong to none, first row 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(fields, words):
    with pytest.raises(InputError) as caught:
        ZeroShotTemperature().fit(Predictions(logits=np.eye(2), **fields))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("temperature", [0, -1.0, float("inf"), "hot"])
def test_impossible_temperatures_are_not_restored(temperature):
    with pytest.raises(InputError, match="positive number"):
        ZeroShotTemperature().restore({"temperature_": temperature, "at_bound_": False}, ["cat", "dog"])
