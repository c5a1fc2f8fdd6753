"""Spline calibration against a spline solved from its second derivatives, and cumulative gaps that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import SplineCalibration
from calibrant.errors import InputError


def natural_slopes(heights, at):
    """Slope of the natural cubic spline through evenly spaced heights, from the equations of its second derivatives."""
    count = len(heights)
    h = 1 / (count - 1)
    equations, right = np.eye(count), np.zeros(count)
    for i in range(1, count - 1):
        equations[i, i - 1 : i + 2] = [1, 4, 1]
        right[i] = 6 / h**2 * (heights[i - 1] - 2 * heights[i] + heights[i + 1])
    second = np.linalg.solve(equations, right)
    slopes, values = [], []
    for x in at:
        i = min(int(x / h), count - 2)
        a, b = (i + 1) * h - x, x - i * h
        values.append(
            second[i] * a**3 / (6 * h)
            + second[i + 1] * b**3 / (6 * h)
            + (heights[i] / h - second[i] * h / 6) * a
            + (heights[i + 1] / h - second[i + 1] * h / 6) * b
        )
        slopes.append(
            -second[i] * a**2 / (2 * h)
            + second[i + 1] * b**2 / (2 * h)
            + (heights[i + 1] - heights[i]) / h
            - (second[i + 1] - second[i]) * h / 6
        )
    return np.array(values), np.array(slopes)


def reference(confidence, right, knots):
    """Loops: sort, accumulate, least squares over the heights at the knots, slope in the middle of each sample."""
    order = sorted(range(len(confidence)), key=lambda i: confidence[i])
    total, curve = 0.0, [0.0]
    for i in order:
        total += (right[i] - confidence[i]) / len(confidence)
        curve.append(total)
    at = [i / len(confidence) for i in range(len(confidence) + 1)]
    middle = [(i + 0.5) / len(confidence) for i in range(len(confidence))]
    design = np.stack([natural_slopes(unit, at)[0] for unit in np.eye(knots)], axis=1)
    heights = np.linalg.solve(design.T @ design, design.T @ np.array(curve))
    _, slopes = natural_slopes(heights, middle)
    return {confidence[i]: min(max(confidence[i] + slopes[n], 0.0), 1.0) for n, i in enumerate(order)}


@pytest.mark.parametrize("knots", [2, 4, 6, 9])
def test_the_map_is_the_slope_of_the_spline(knots):
    rng = np.random.default_rng(knots)
    logits = 2 * rng.normal(size=(200, 4))
    labels = rng.permuted(logits, axis=1).argmax(axis=1)
    p = softmax(logits)
    expected = reference(p.max(axis=1).tolist(), (p.argmax(axis=1) == labels).tolist(), knots)
    fitted = SplineCalibration(knots=knots).fit(logits, labels)
    np.testing.assert_allclose(fitted.map_[1], [expected[c] for c in fitted.map_[0]], atol=1e-8)
    answers = fitted.predict_proba(logits).max(axis=1)
    np.testing.assert_allclose(answers, [max(expected[c], 0.25) for c in p.max(axis=1)], atol=1e-8)


def test_a_constant_gap_is_found_exactly():
    """All answers equally sure and a tenth of them right: whatever the order of the labels, that is the confidence."""
    for labels in ([0] + [1] * 9, [1] * 9 + [0], [1, 1, 1, 0, 1, 1, 1, 1, 1, 1]):
        fitted = SplineCalibration().fit([[2.0, 0.0]] * 10, labels)
        np.testing.assert_allclose(fitted.map_[1], [0.1], atol=1e-9)


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(0, 1000))
def test_few_samples_have_as_few_knots(samples, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(samples, 3)), rng.integers(3, size=samples)
    p = SplineCalibration().fit(logits, labels).predict_proba(logits)
    assert np.isfinite(p).all()
    assert (p.argmax(axis=1) == logits.argmax(axis=1)).all()


def test_one_sample_says_all_there_is():
    assert SplineCalibration().fit([[2.0, 0.0]], [0]).map_[1] == pytest.approx([1.0])
    assert SplineCalibration().fit([[2.0, 0.0]], [1]).map_[1] == pytest.approx([0.0])


def test_beyond_the_fit_it_is_constant():
    fitted = SplineCalibration().fit(np.log([[0.6, 0.4], [0.7, 0.3], [0.8, 0.2]] * 10), [0, 1, 0] * 10)
    unseen = fitted.predict_proba(np.log([[0.8, 0.2], [0.99, 0.01], [1.0, 1e-30]]))[:, 0]
    np.testing.assert_allclose(unseen, unseen[0])


@pytest.mark.parametrize("knots", [1, 0, 2.5, True])
def test_wrong_parameters_are_named(knots):
    with pytest.raises(InputError, match="knots of calibrator 'spline'"):
        SplineCalibration(knots=knots).fit([[1.0, 0.0]], [0])


def test_the_class_list_may_be_another():
    fitted = SplineCalibration().fit(Predictions(logits=np.eye(3), labels=[0, 1, 0], classes=["cat", "dog", "cow"]))
    assert fitted(Predictions(logits=np.eye(5))).shape == (5, 5)
