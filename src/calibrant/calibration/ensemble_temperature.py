"""Ensemble temperature scaling: a mixture of the tempered, the original and the uniform probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64, as_floats, log_softmax
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.temperature import divided, inverse_temperature
from calibrant.calibration.tempered_likelihood import tempered_likelihood
from calibrant.errors import InputError
from calibrant.predictions import Predictions

MOST_UNIFORM = 0.999  # with nothing but the uniform part there would be no answer
ROUNDS = 500
SMALLEST = 1e-300  # probabilities of labels below this count as this, so that their logarithm is finite


class EnsembleTemperature(LogitCalibrator):
    """Probabilities w_1 softmax(logits / T) + w_2 softmax(logits) + w_3 / C, with weights from 0 that sum to 1.

    T is that of temperature scaling. The weights then maximise the likelihood of the same samples; the problem is
    concave. Every part has the logits' order, and so has the mixture: no answer changes. w_3 is at most 0.999.

    Attributes:
        temperature_: T.
        at_bound_: whether the likelihood had no optimum in T, see `TemperatureScaling`.
        weights_: w_1, w_2, w_3, float64 [3].

    Source: Zhang, Kailkhura and Han, Mix-n-Match: Ensemble and Compositional Methods for Uncertainty Calibration in
    Deep Learning, 2020.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> logits = 9 * np.eye(4)[draw.integers(4, size=4000)]  # 70 % sure, the rest anything
        >>> labels = np.where(draw.random(4000) < 0.6, logits.argmax(axis=1), draw.integers(4, size=4000))
        >>> EnsembleTemperature().fit(logits, labels).predict_proba([[9.0, 0.0, 0.0, 0.0]]).round(1)
        array([[0.7, 0.1, 0.1, 0.1]])
    """

    name: ClassVar[str] = "ensemble-temperature"
    source: ClassVar[str] = "Zhang et al., Mix-n-Match, 2020"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("temperature_", "at_bound_", "weights_")

    temperature_: float
    at_bound_: bool
    weights_: Float64

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        logits, labels = predictions.logits, given_labels(predictions, self.name)
        inverse, self.at_bound_ = inverse_temperature(logits, labels)
        self.temperature_ = 1 / inverse
        of_label = [np.exp(-tempered_likelihood(logits, labels, factor).value) for factor in (inverse, 1.0, 0.0)]
        self.weights_ = mixture_weights(np.stack(of_label, axis=1))

    def _logits(self, predictions: Predictions) -> Float64:
        with np.errstate(divide="ignore"):  # a weight of 0 has the logarithm -inf and adds nothing
            tempered, original, uniform = np.log(self.weights_)
        mixed = np.logaddexp(
            tempered + log_softmax(divided(predictions.logits, self.temperature_)),
            original + log_softmax(predictions.logits),
        )
        mixed = np.logaddexp(mixed, uniform - np.log(predictions.logits.shape[1]))
        floored: Float64 = np.maximum(mixed, -1e300)
        return floored

    def _check_restored(self) -> None:
        self.weights_ = as_floats(self.weights_, "weights_", (3,)).astype(np.float64)
        if not as_floats(self.temperature_, "temperature_", ()) > 0:
            raise InputError(f"temperature_ must be a positive number, not {self.temperature_!r}")
        if (self.weights_ < 0).any() or abs(self.weights_.sum() - 1) > 1e-6:
            raise InputError(f"weights_ must be at least 0 and sum to 1, not {self.weights_.tolist()}")


def mixture_weights(of_label: Float64) -> Float64:
    """Find the weights of a mixture that maximise the likelihood of the labels.

    A sequential quadratic search comes close; expectation-maximisation, which can only improve on it, does the rest.

    Args:
        of_label: probability that each of the three parts gives to the label, float64 [N, 3]; the last is uniform.

    Returns:
        float64 [3], from 0, sum 1; the last at most 0.999.

    Example:
        >>> mixture_weights(np.array([[0.9, 0.5, 0.5], [0.9, 0.5, 0.5]])).round(3)
        array([1., 0., 0.])
    """
    from scipy.optimize import minimize

    parts = np.maximum(of_label, SMALLEST)

    def loss(weights: Float64) -> tuple[float, Float64]:
        mixed = np.maximum(parts @ weights, SMALLEST)
        return -float(np.log(mixed).mean()), -(parts / mixed[:, None]).mean(axis=0)

    found = minimize(
        loss,
        np.full(3, 1 / 3),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1), (0, 1), (0, MOST_UNIFORM)],
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        options={"ftol": 1e-13, "maxiter": ROUNDS},
    )
    weights: Float64 = np.clip(found.x, 0, 1)
    weights /= weights.sum()
    for _ in range(ROUNDS):
        better = weights * -loss(weights)[1]
        if np.abs(better - weights).max() < 1e-10:
            break
        weights = better / better.sum()
    if weights[2] > MOST_UNIFORM:
        others = weights[:2] if weights[:2].sum() > 0 else np.array([1.0, 0.0])
        weights = np.append((1 - MOST_UNIFORM) * others / others.sum(), MOST_UNIFORM)
    return weights
