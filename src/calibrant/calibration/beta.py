"""Beta calibration, one-versus-rest: logistic regression on the logarithms of p and 1 - p."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64, softmax
from calibrant.calibration.calibrator import ProbabilityCalibrator, given_labels
from calibrant.errors import InputError
from calibrant.predictions import Predictions

PENALTY = 1e-6
STEPS = 200
ALL = [0, 1, 2]
ON_THE_BOUNDARY = ([0, 2], [1, 2], [2])
"""Which of a, b, c are free where b, a, or both are 0."""


class BetaCalibration(ProbabilityCalibrator):
    """Every class by itself: the odds p / (1 - p) of the class become e^c p^a / (1 - p)^b, with a, b >= 0.

    a = b = 1 and c = 0 leave p alone; a = b is logistic calibration of the log-odds. a, b, c have the largest
    likelihood under the constraint, which keeps the function from falling; 1e-6 / 2 (a^2 + b^2 + c^2) is added to the
    negative log-likelihood of the sample, so that there is an answer when the data are separable or a class has no
    sample. log p and log (1 - p) are taken from the logits, where no probability is exactly 0 or 1.

    The estimates of a sample are divided by their sum. For two classes they sum to 1 already and this is the binary
    method. Answers can change since classes have functions of their own, and so there is none for new classes.

    Attributes:
        coefficients_: a, b, c of each class, float64 [C, 3].

    Source: Kull, Silva Filho and Flach, Beta Calibration: a Well-founded and Easily Implemented Improvement on Logistic
    Calibration for Binary Classifiers, AISTATS 2017.

    Example:
        >>> fitted = BetaCalibration().fit([[3.0, 0.0], [2.0, 0.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 0, 1])
        >>> fitted.coefficients_[0].round(2), fitted.predict_proba([[3.0, 0.0]]).round(2)
        (array([3.04, 0.  , 1.12]), array([[0.73, 0.27]]))
    """

    name: ClassVar[str] = "beta"
    source: ClassVar[str] = "Kull et al., Beta Calibration, 2017"
    keeps_argmax: ClassVar[bool] = False
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("coefficients_",)

    coefficients_: Float64

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        labels, logarithms = given_labels(predictions, self.name), _logarithms(predictions.logits)
        self.coefficients_ = np.stack([_best(logarithms[:, :, k], labels == k) for k in range(logarithms.shape[2])])

    def _probabilities(self, predictions: Predictions) -> Float64:
        log_odds = np.einsum("nic,ci->nc", _logarithms(predictions.logits), self.coefficients_)
        return softmax(-np.logaddexp(0.0, -log_odds))

    def _check_restored(self) -> None:
        shape = self.coefficients_.shape
        if len(shape) != 2 or shape[1] != 3 or not np.isfinite(self.coefficients_).all():
            raise InputError("coefficients_ must be three finite numbers per class")
        if (self.coefficients_[:, :2] < 0).any():
            raise InputError("the first two coefficients_ of a class must not be negative")


def _logarithms(logits: Array) -> Float64:
    """Give log p, -log (1 - p) and 1, float64 [N, 3, C], all finite."""
    z = logits - logits.max(axis=1, keepdims=True).astype(np.float64)
    top, rows = logits.argmax(axis=1), np.arange(len(logits))
    others = z.copy()
    others[rows, top] = -np.inf
    nearest = others.max(axis=1)
    # log of the sum over all but the answer, which is what 1 - p of the answer is made of: log (1 - p) would round to
    # the logarithm of 0 where the answer is sure
    rest = nearest + np.log(np.exp(others - nearest[:, None]).sum(axis=1))
    whole = np.logaddexp(0.0, rest)
    log_p = z - whole[:, None]
    with np.errstate(divide="ignore"):  # of the answer, which is replaced
        log_not_p = np.log1p(-np.exp(log_p))
    log_not_p[rows, top] = rest - whole
    return np.stack([log_p, -log_not_p, np.ones_like(log_p)], axis=1)


def _best(inputs: Float64, right: Array) -> Float64:
    """Find a, b, c of least loss with a, b >= 0: the loss is convex, so it is the free minimum or on the boundary."""
    free, _ = _newton(inputs, right, ALL)
    if (free[:2] >= 0).all():
        return free
    tried = [_newton(inputs, right, numbers) for numbers in ON_THE_BOUNDARY]
    best, _ = min((one for one in tried if (one[0][:2] >= 0).all()), key=lambda one: one[1])
    return best


def _newton(inputs: Float64, right: Array, free: list[int]) -> tuple[Float64, float]:
    """Minimise the penalised negative log-likelihood over some of a, b, c by Newton steps that never go uphill."""
    features, signs = inputs[:, free], np.where(right, 1.0, -1.0)

    def loss(weights: Float64) -> float:
        return float(np.logaddexp(0.0, -signs * (features @ weights)).sum() + PENALTY / 2 * weights @ weights)

    weights = np.zeros(len(free))
    least = loss(weights)
    for _ in range(STEPS):
        p = np.exp(-np.logaddexp(0.0, -(features @ weights)))
        gradient = features.T @ (p - right) + PENALTY * weights
        curvature = (features * (p * (1 - p))[:, None]).T @ features + PENALTY * np.eye(len(free))
        step = np.linalg.solve(curvature, gradient)
        while (reached := loss(weights - step)) > least and np.abs(step).max() > 0:
            step /= 2
        if reached >= least:  # only rounding is left
            break
        weights, least = weights - step, reached
    found = np.zeros(3)
    found[free] = weights
    return found, least
