"""Beta calibration against the conditions of its optimum, scikit-learn, and inputs where logarithms overflow."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from calibrant.arrays import softmax
from calibrant.calibration import BetaCalibration
from calibrant.errors import InputError

PENALTY = 1e-6


def curve(p, a, b, c):
    return 1 / (1 + 1 / (math.exp(c) * p**a / (1 - p) ** b))


def slopes(p, right, coefficients):
    """Derivative of the penalised negative log-likelihood by a, b and c, summed in a loop."""
    a, b, c = coefficients
    total = [PENALTY * a, PENALTY * b, PENALTY * c]
    for one, is_right in zip(p, right, strict=True):
        error = curve(one, a, b, c) - is_right
        total = [total[0] + error * math.log(one), total[1] - error * math.log(1 - one), total[2] + error]
    return total


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(5, 60), st.booleans())
def test_the_coefficients_are_the_optimum(seed, classes, samples, upside_down):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(samples, classes))
    labels = (-logits if upside_down else logits + 2 * rng.normal(size=logits.shape)).argmax(axis=1)
    fitted = BetaCalibration().fit(logits, labels)
    for c, coefficients in enumerate(fitted.coefficients_):
        by_a, by_b, by_c = slopes(softmax(logits)[:, c], labels == c, coefficients)
        assert abs(by_c) < 1e-6
        for slope, value in ((by_a, coefficients[0]), (by_b, coefficients[1])):
            assert value >= 0
            assert abs(slope) < 1e-6 or (value == 0 and slope > 0), "at the border the loss must rise inwards"


@pytest.mark.parametrize("classes", [2, 5])
def test_agrees_with_scikit_learn_where_no_border_is_met(classes):
    rng = np.random.default_rng(classes)
    logits = 2 * rng.normal(size=(3000, classes))
    p = softmax(logits)
    labels = (rng.random((3000, 1)) > softmax(logits / 2).cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    fitted = BetaCalibration().fit(logits, labels)
    assert (fitted.coefficients_[:, :2] > 0).all()
    expected = np.empty_like(p)
    for c in range(classes):
        inputs = np.stack([np.log(p[:, c]), -np.log(1 - p[:, c])], axis=1)
        regression = LogisticRegression(C=1e12, tol=1e-10, max_iter=10_000, solver="newton-cholesky")
        expected[:, c] = regression.fit(inputs, labels == c).predict_proba(inputs)[:, 1]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.predict_proba(logits), expected, atol=1e-6)


def test_two_classes_are_the_binary_method():
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(200, 2))
    labels = rng.permuted(logits, axis=1).argmax(axis=1)
    fitted = BetaCalibration().fit(logits, labels)
    (a, b, c), mirrored = fitted.coefficients_
    np.testing.assert_allclose(mirrored, [b, a, -c], atol=1e-6)
    expected = [curve(one, a, b, c) for one in softmax(logits)[:, 0]]
    np.testing.assert_allclose(fitted.predict_proba(logits)[:, 0], expected, atol=1e-8)


def test_calibrated_probabilities_are_left_alone():
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=(40_000, 2))
    labels = (rng.random(40_000) > softmax(logits)[:, 0]).astype(int)
    np.testing.assert_allclose(BetaCalibration().fit(logits, labels).predict_proba(logits), softmax(logits), atol=0.02)


def test_logarithms_come_from_the_logits():
    """p = 1 in float64 from a margin of 37 on, but 40 and 400 are not the same, and both have a finite log (1 - p)."""
    logits = np.array([[40.0, 0.0, 0.0], [400.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
    fitted = BetaCalibration().fit(logits, [1, 0, 0, 1])
    p = fitted.predict_proba(logits)
    assert np.isfinite(p).all()
    assert p[0, 0] < p[1, 0]


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, 0, 1]])
def test_separable_data_get_a_bounded_answer(labels):
    logits = np.array([[9.0, 0.0], [8.0, 0.0], [7.0, 0.0], [0.0, 9.0]])
    fitted = BetaCalibration().fit(logits, labels)
    assert np.abs(fitted.coefficients_).max() < 100
    p = fitted.predict_proba(logits)
    assert (p[np.arange(4), labels] > 0.999).all()


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        (np.ones((2, 2)), "three finite numbers"),
        (np.full((2, 3), np.nan), "three finite numbers"),
        (-np.ones((2, 3)), "not be negative"),
    ],
)
def test_impossible_coefficients_are_refused(coefficients, message):
    with pytest.raises(InputError, match=message):
        BetaCalibration().restore({"coefficients_": coefficients}, ["cat", "dog"])
