"""Vector scaling against its definition, an independent optimiser and what was put in."""

import numpy as np
import pytest
from scaling_toy import drawn, plain_nll
from scipy.optimize import check_grad, minimize

from calibrant.arrays import softmax
from calibrant.calibration import TemperatureScaling, VectorScaling
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics import nll_from_logits


def loss(weights, intercepts, inverse, logits, labels, on_weights, on_intercepts):
    """The objective of the docstring, in plain loops; weights and intercepts as they are stored."""
    scores = [[w * x + b for w, x, b in zip(weights, row, intercepts, strict=True)] for row in logits]
    pull = np.mean([(w / inverse - 1) ** 2 for w in weights])
    middle = [np.mean([row[c] for row in logits]) for c in range(len(weights))]
    at_middle = [w * m + b - inverse * m for w, m, b in zip(weights, middle, intercepts, strict=True)]
    return plain_nll(scores, labels) + on_weights * pull + on_intercepts * np.mean([b**2 for b in at_middle])


@pytest.mark.parametrize(("weight", "intercept"), [(0.05, 0.02), (0.0, 0.3), (None, None)])
def test_is_at_the_optimum_of_the_definition(weight, intercept):
    logits, labels = drawn(0, samples=80, classes=3)
    logits = 3 * logits + [1.0, 0.0, -1.0]
    inverse = 1 / TemperatureScaling().fit(logits, labels).temperature_
    fitted = VectorScaling(weight, intercept).fit(logits, labels)
    usual = 3 / (2 * 80)
    penalties = (usual if weight is None else weight, usual if intercept is None else intercept)

    def objective(parameters):
        return loss(parameters[:3], parameters[3:], inverse, logits, labels, *penalties)

    ours = np.concatenate([fitted.weights_, fitted.intercepts_])
    theirs = minimize(objective, ours + 0.1, method="Powell", options={"xtol": 1e-9, "ftol": 1e-12, "maxiter": 10_000})
    assert objective(ours) <= theirs.fun + 1e-6


def test_recovers_weights_and_intercepts():
    logits, labels = drawn(1, samples=50_000, classes=4)
    weights, intercepts = np.array([0.5, 1.0, 1.0, 2.0]), np.array([1.0, -1.0, 0.0, 0.0])
    fitted = VectorScaling().fit((logits - intercepts) / weights, labels)
    truth, found = softmax(logits), fitted.predict_proba((logits - intercepts) / weights)
    before = softmax((logits - intercepts) / weights)
    assert np.abs(found - truth).mean() < 0.05 * np.abs(before - truth).mean()
    assert fitted.weights_ == pytest.approx(weights, abs=0.05)


def test_never_fits_worse_than_temperature_scaling_without_penalty():
    for seed in range(3):
        logits, labels = drawn(seed, samples=200, classes=6)
        logits *= np.linspace(1, 4, 6)
        vector, scaling = VectorScaling(0, 0).fit(logits, labels), TemperatureScaling().fit(logits, labels)
        after = -np.log(vector.predict_proba(logits)[np.arange(200), labels]).mean()
        assert after <= nll_from_logits(logits / scaling.temperature_, labels) + 1e-9


def test_sees_neither_scale_nor_offset_of_all_logits():
    logits, labels = drawn(2, samples=300, classes=3)
    one = VectorScaling().fit(logits, labels)
    other = VectorScaling().fit(100 * logits + 2500, labels)
    assert other.predict_proba(100 * logits + 2500) == pytest.approx(one.predict_proba(logits), abs=1e-4)


def test_a_class_without_samples_keeps_some_probability():
    logits, labels = drawn(3, samples=200, classes=4)
    kept = labels != 3
    probs = VectorScaling().fit(logits[kept], labels[kept]).predict_proba(logits)
    assert probs[:, 3].max() > 1e-3


def test_separable_samples_get_finite_parameters():
    labels = np.arange(12) % 3
    with pytest.warns(CalibrantWarning, match="largest logit"):
        fitted = VectorScaling().fit(5 * np.eye(3)[labels], labels)
    assert np.isfinite(fitted.weights_).all()
    assert (fitted.predict_proba(5 * np.eye(3)[labels]).argmax(axis=1) == labels).all()


@pytest.mark.parametrize("scale", [1e-4, 1e5])
def test_extreme_scales_neither_overflow_nor_matter(scale):
    logits, labels = drawn(4, samples=300, classes=3)
    expected = VectorScaling().fit(logits, labels).predict_proba(logits)
    assert VectorScaling().fit(scale * logits, labels).predict_proba(scale * logits) == pytest.approx(
        expected, abs=1e-4
    )


@pytest.mark.parametrize("value", [-1, np.inf, "much", True])
def test_an_impossible_penalty_is_refused(value):
    with pytest.raises(InputError, match="weight of calibrator 'vector' must be a number"):
        VectorScaling(weight=value).fit(*drawn(0, samples=20))


def test_the_gradient_of_the_likelihood_is_right():
    from calibrant.calibration.penalised_regression import likelihood

    x, labels = drawn(5, samples=40, classes=3)
    gradient = lambda rows, by_score: (by_score * rows).sum(axis=0)  # noqa: E731
    value = lambda w: likelihood(x, labels, lambda rows: w * rows, gradient)[0]  # noqa: E731
    slope = lambda w: likelihood(x, labels, lambda rows: w * rows, gradient)[1]  # noqa: E731
    assert check_grad(value, slope, np.array([0.3, 1.0, 2.0])) < 1e-6
    assert value(np.ones(3)) == pytest.approx(plain_nll(x, labels), abs=1e-12)
