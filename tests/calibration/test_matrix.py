"""Matrix scaling and Dirichlet calibration against their definition and scikit-learn's regression."""

import numpy as np
import pytest
from scaling_toy import drawn, plain_nll
from sklearn.linear_model import LogisticRegression

from calibrant.arrays import log_softmax, softmax
from calibrant.calibration import Dirichlet, MatrixScaling, TemperatureScaling
from calibrant.errors import CalibrantWarning, InputError

BOTH = [MatrixScaling, Dirichlet]


def loss(weights, intercepts, inputs, offset, labels, off_diagonal, intercept):
    """The objective of the docstrings, in plain loops."""
    classes = len(intercepts)
    scores = [
        [sum(weights[i][j] * x[j] for j in range(classes)) + intercepts[i] + offset[i] for i in range(classes)]
        for x in inputs
    ]
    beside = [weights[i][j] ** 2 for i in range(classes) for j in range(classes) if i != j]
    return plain_nll(scores, labels) + off_diagonal * np.mean(beside) + intercept * np.mean(np.square(intercepts))


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("off_diagonal", "intercept"), [(0.1, 0.03), (2.0, 0.0), (None, None)])
def test_is_at_the_optimum_of_the_definition(kind, off_diagonal, intercept):
    logits, labels = drawn(0, samples=60, classes=3)
    logits = 2 * logits + [1.0, 0.0, -1.0]
    fitted = kind(off_diagonal, intercept).fit(logits, labels)
    off_diagonal = 27 * 2 / 120 if off_diagonal is None else off_diagonal
    intercept = 3 / 120 if intercept is None else intercept
    inputs, inverse, middle = log_softmax(logits), 1.0, np.zeros(3)
    if kind is MatrixScaling:
        inverse = 1 / TemperatureScaling().fit(logits, labels).temperature_
        inputs, middle = logits * inverse, logits.mean(axis=0) * inverse
    weights = fitted.weights_ / inverse
    intercepts = fitted.intercepts_ + weights @ middle - middle  # at the mean logits
    best = loss(weights, intercepts, inputs - middle, middle, labels, off_diagonal, intercept)
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-2, 0.1):
        for _ in range(8):
            w, b = weights + size * rng.normal(size=(3, 3)), intercepts + size * rng.normal(size=3)
            assert loss(w, b, inputs - middle, middle, labels, off_diagonal, intercept) >= best - 1e-8


@pytest.mark.parametrize("kind", BOTH)
def test_without_penalty_it_is_multinomial_regression(kind):
    logits, labels = drawn(1, samples=1000, classes=3)
    logits = logits @ np.array([[1.0, 0.5, 0.0], [0.0, 1.0, -0.5], [0.3, 0.0, 1.0]])
    probs = kind(0, 0).fit(logits, labels).predict_proba(logits)
    inputs = log_softmax(logits) if kind is Dirichlet else logits
    reference = LogisticRegression(C=np.inf, max_iter=10_000, tol=1e-10).fit(inputs, labels)
    assert probs == pytest.approx(reference.predict_proba(inputs), abs=2e-3)


@pytest.mark.parametrize("kind", BOTH)
def test_recovers_a_linear_map(kind):
    rng = np.random.default_rng(0)
    logits = 3 * rng.normal(size=(20_000, 4))
    inputs = log_softmax(logits) if kind is Dirichlet else logits
    truth = softmax(inputs @ (0.5 * np.eye(4) + 0.2 * rng.normal(size=(4, 4))) + rng.normal(size=4))
    labels = (rng.random((20_000, 1)) > truth.cumsum(axis=1)).sum(axis=1).clip(max=3)
    found = kind().fit(logits, labels).predict_proba(logits)
    assert np.abs(found - truth).mean() < 0.06 * np.abs(softmax(logits) - truth).mean()


@pytest.mark.parametrize("kind", BOTH)
def test_a_strong_penalty_leaves_one_weight_per_class(kind):
    logits, labels = drawn(3, samples=500, classes=3)
    fitted = kind(off_diagonal=1e6, intercept=1e6).fit(logits, labels)
    beside = fitted.weights_[~np.eye(3, dtype=bool)]
    assert np.abs(beside).max() < 1e-4
    at_mean = logits.mean(axis=0)
    moved = (
        fitted.intercepts_ + fitted.weights_ @ at_mean - at_mean / TemperatureScaling().fit(logits, labels).temperature_
    )
    assert np.abs(fitted.intercepts_ if kind is Dirichlet else moved).max() < 1e-4


@pytest.mark.parametrize("kind", BOTH)
def test_separable_samples_get_finite_parameters(kind):
    labels = np.arange(12) % 3
    with pytest.warns(CalibrantWarning):
        fitted = kind().fit(5 * np.eye(3)[labels], labels)
    probs = fitted.predict_proba(5 * np.eye(3)[labels])
    assert np.isfinite(fitted.weights_).all()
    assert (probs.argmax(axis=1) == labels).all()


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("value", [-1, np.nan, "much", True])
def test_an_impossible_penalty_is_refused(kind, value):
    with pytest.raises(InputError, match="off_diagonal of calibrator"):
        kind(off_diagonal=value).fit(*drawn(0, samples=20))
