"""Multi-isotonic regression against scikit-learn on flattened probabilities, and the promise to keep every answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression as Regression

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import MultiIsotonic
from calibrant.errors import InputError


def published(fit, labels, p):
    """One regression for everything, 1e-9 p against ties; then each row is divided by its sum, which is ours."""
    targets = np.zeros_like(fit)
    for n, label in enumerate(labels):
        targets[n, label] = 1
    regression = Regression(out_of_bounds="clip").fit(fit.ravel(), targets.ravel())
    estimates = regression.predict(p.ravel()).reshape(p.shape) + 1e-9 * p
    return np.array([row / row.sum() for row in estimates])


@pytest.mark.parametrize("classes", [2, 6])
def test_agrees_with_scikit_learn(classes):
    rng = np.random.default_rng(0)
    logits, unseen = 2 * rng.normal(size=(300, classes)), 3 * rng.normal(size=(200, classes))
    labels = rng.permuted(logits, axis=1).argmax(axis=1)
    expected = published(softmax(logits), labels, softmax(unseen))
    np.testing.assert_allclose(MultiIsotonic().fit(logits, labels).predict_proba(unseen), expected, atol=1e-12)


def test_new_classes_go_through_the_same_function():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(300, 4)), rng.integers(4, size=300)
    unseen = rng.normal(size=(50, 9))
    expected = published(softmax(logits), labels, softmax(unseen))
    np.testing.assert_allclose(MultiIsotonic().fit(logits, labels).predict_proba(unseen), expected, atol=1e-12)


@settings(deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(
        st.lists(st.sampled_from([0.0, 1e-17, 1e-12, 1e-8, 0.1, 3.0, 40.0, 800.0]), min_size=3, max_size=3), min_size=1
    ),
)
def test_no_answer_changes_however_close_the_next(seed, unseen):
    rng = np.random.default_rng(seed)
    fitted = MultiIsotonic().fit(rng.normal(size=(6, 3)), rng.integers(3, size=6))
    p = fitted.predict_proba(unseen)
    assert (p.argmax(axis=1) == np.argmax(unseen, axis=1)).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)


def test_a_sample_of_which_nothing_is_known_keeps_its_probabilities():
    logits = np.log([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    fitted = MultiIsotonic().fit(logits, [0, 0, 0])
    low = np.log([[0.2, 0.2, 0.2, 0.3, 0.1]])
    np.testing.assert_allclose(fitted.predict_proba(low), np.exp(low), atol=1e-9)


def test_the_order_within_a_sample_stays():
    rng = np.random.default_rng(2)
    logits, labels = rng.normal(size=(100, 5)), rng.integers(5, size=100)
    p = MultiIsotonic().fit(logits, labels).predict_proba(logits)
    assert (np.argsort(p, axis=1) == np.argsort(logits, axis=1)).all()


def test_impossible_maps_are_refused():
    with pytest.raises(InputError, match="map_ must go from rising probabilities"):
        MultiIsotonic().restore({"map_": np.array([[0.5, 0.5], [0.1, 0.2]])}, ["cat", "dog"])


def test_rows_of_probabilities_are_used_as_they_are():
    """The code released for CLIP takes the softmax of probabilities, which squeezes them towards 1 / C."""
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3]])
    fitted = MultiIsotonic().fit(Predictions.from_probabilities(p, labels=[0, 1, 0, 0]))
    assert fitted.map_[0].min() == pytest.approx(0.1)
    assert fitted.map_[0].max() == pytest.approx(0.9)
