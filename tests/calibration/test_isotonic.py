"""Isotonic regression against the min-max formula, scikit-learn, and stored numbers of netcal."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression as Regression

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import IsotonicRegression
from calibrant.calibration.isotonic import rising_map
from calibrant.errors import InputError

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "binning-calibrators.json").read_text(encoding="utf-8"))


def min_max(values, right):
    """The best rising function at each value: the largest over all starts below of the smallest mean up to an end."""
    distinct = sorted(set(values))
    groups = [[r for v, r in zip(values, right, strict=True) if v == one] for one in distinct]

    def mean(start, end):
        return np.mean([r for group in groups[start : end + 1] for r in group])

    count = len(distinct)
    best = [max(min(mean(a, b) for b in range(i, count)) for a in range(i + 1)) for i in range(count)]
    return dict(zip(distinct, best, strict=True))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]), st.booleans()), min_size=1, max_size=14))
def test_the_map_is_the_best_rising_function(pairs):
    values, right = (np.array(column) for column in zip(*pairs, strict=True))
    points = rising_map(values, right)
    for value, best in min_max(values.tolist(), right.tolist()).items():
        assert np.interp(value, *points) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 5])
def test_agrees_with_scikit_learn_class_by_class(classes):
    rng = np.random.default_rng(0)
    logits, unseen = 2 * rng.normal(size=(400, classes)), 3 * rng.normal(size=(300, classes))
    labels = rng.permuted(logits, axis=1).argmax(axis=1)
    expected = np.empty((300, classes))
    for c in range(classes):
        one = Regression(out_of_bounds="clip").fit(softmax(logits)[:, c], labels == c)
        expected[:, c] = one.predict(softmax(unseen)[:, c])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(IsotonicRegression().fit(logits, labels).predict_proba(unseen), expected, atol=1e-12)


def test_agrees_with_netcal():
    stored = GOLDEN["5 classes"]
    logits = np.array(stored["logits"]) / 100
    found = IsotonicRegression().fit(logits, stored["labels"]).predict_proba(logits)
    np.testing.assert_allclose(found, stored["isotonic"], atol=1e-9)


def test_saturated_rows_share_one_value():
    logits = np.array([[60.0, 0.0], [80.0, 0.0], [1e4, 0.0], [0.0, 60.0]])
    fitted = IsotonicRegression().fit(logits, [0, 0, 1, 1])
    np.testing.assert_allclose(fitted.predict_proba(logits)[:3], [[2 / 3, 1 / 3]] * 3)


def test_a_sample_of_which_nothing_is_known_keeps_its_probabilities():
    logits = np.log([[0.9, 0.1], [0.1, 0.9]])
    fitted = IsotonicRegression().fit(logits, [1, 0])
    fitted.restore({"maps_": [np.array([[0.5], [0.0]])] * 2}, fitted.classes_)
    np.testing.assert_allclose(fitted.predict_proba(logits), softmax(logits))


@pytest.mark.parametrize(
    "maps",
    [
        [np.array([[0.1], [0.2]])],
        [np.array([[0.1], [1.2]])] * 2,
        [np.array([[0.2, 0.1], [0.1, 0.2]])] * 2,
        [np.zeros((2, 0))] * 2,
        [np.zeros((3, 1))] * 2,
        [[[0.1], [0.2]]] * 2,
    ],
)
def test_impossible_maps_are_refused(maps):
    with pytest.raises(InputError, match="maps_ must"):
        IsotonicRegression().restore({"maps_": maps}, ["cat", "dog"])


def test_new_classes_are_refused():
    fitted = IsotonicRegression().fit(Predictions(logits=[[1.0, 0.0]], labels=[0], classes=["cat", "dog"]))
    with pytest.raises(InputError, match="knows only the 2 classes"):
        fitted(Predictions(logits=[[1.0, 0.0]], classes=["oak", "fir"]))
