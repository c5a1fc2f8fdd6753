"""Vector scaling: a weight and an intercept for the logit of every class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64, as_floats
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.penalised_regression import likelihood, minimise, penalty
from calibrant.calibration.temperature import inverse_temperature
from calibrant.predictions import Predictions


class VectorScaling(LogitCalibrator):
    """Logits w_c (z_c - m_c) / T + m_c / T + b_c with a weight and an intercept for every class.

    T is the temperature of temperature scaling, from where the fit starts: w = 1 and b = 0. m_c is the mean logit of
    the class, so that weights and intercepts do not depend on each other. It minimises

        mean negative log-likelihood + weight * mean_c (w_c - 1)^2 + intercept * mean_c b_c^2.

    The published method has no penalty; without one, a class that no held-out sample has gets a probability of 0. By
    default both are C / 2N, which is a normal prior with variance 1 for every w and b: with few samples the parameters
    move little, with many the penalty does not matter.

    Args:
        weight: penalty of weights that differ from 1, at least 0; None for C / 2N.
        intercept: penalty of intercepts, at least 0; None for C / 2N.

    Attributes:
        weights_: w_c / T, float64 [C].
        intercepts_: what is added to them, float64 [C].

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2; the penalties are ours.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> labels = draw.integers(2, size=1000)
        >>> logits = draw.normal(size=(1000, 2)) + 2 * np.eye(2)[labels] + [3.0, 0.0]  # the first one is too large
        >>> VectorScaling().fit(logits, labels).predict_proba([[4.0, 1.0]]).round(1)
        array([[0.5, 0.5]])
    """

    name: ClassVar[str] = "vector"
    source: ClassVar[str] = "Guo et al., On Calibration of Modern Neural Networks, 2017"
    keeps_argmax: ClassVar[bool] = False
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = False
    fitted: ClassVar[tuple[str, ...]] = ("weights_", "intercepts_")

    weights_: Float64
    intercepts_: Float64

    def __init__(self, weight: float | None = None, intercept: float | None = None) -> None:
        self.weight = weight
        self.intercept = intercept

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        labels, classes = given_labels(predictions, self.name), len(predictions.classes)
        usual = classes / (2 * len(labels))
        on_weights = penalty(self.weight, usual, "weight", self.name)
        on_intercepts = penalty(self.intercept, usual, "intercept", self.name)
        inverse, _ = inverse_temperature(predictions.logits, labels)
        scaled = predictions.logits.astype(np.float64) * inverse
        middle = scaled.mean(axis=0)
        inputs = scaled - middle

        def objective(parameters: Float64) -> tuple[float, Float64]:
            w, b = parameters[:classes], parameters[classes:]
            value, slope = likelihood(
                inputs,
                labels,
                scores=lambda x: w * x + (middle + b),
                gradient=lambda x, by_score: np.concatenate([(by_score * x).sum(axis=0), by_score.sum(axis=0)]),
            )
            value += on_weights * float(((w - 1) ** 2).mean()) + on_intercepts * float((b**2).mean())
            slope[:classes] += 2 * on_weights * (w - 1) / classes
            slope[classes:] += 2 * on_intercepts * b / classes
            return value, slope

        start = np.concatenate([np.ones(classes), np.zeros(classes)])
        found = minimise(objective, start, self.name)
        w, b = found[:classes], found[classes:]
        self.weights_, self.intercepts_ = w * inverse, b + (1 - w) * middle

    def _logits(self, predictions: Predictions) -> Float64:
        return predictions.logits * self.weights_ + self.intercepts_

    def _check_restored(self) -> None:
        for name in self.fitted:
            setattr(self, name, as_floats(getattr(self, name), name, (len(self.classes_),)))
