"""The temperature with the smallest calibration error."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64, as_floats
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.temperature import all_right, divided, inverse_temperature
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics.binning import assign, bin_edges, fill
from calibrant.metrics.calibration import error_of
from calibrant.predictions import Predictions

FARTHEST = 8.0  # times, and parts, of the temperature of the likelihood
COARSE, FINE = 65, 33  # temperatures tried in each round
ENTRIES = 2**17  # logits turned into float64 at a time


class ECETemperature(LogitCalibrator):
    """Probabilities softmax(logits / T) with the T that gives the smallest expected calibration error (ECE).

    The error jumps where a sample changes its bin, so T is looked for by trying: 65 temperatures from 1/8 to 8 times
    that of `TemperatureScaling`, in equal ratios, then 33 around the best of them, which lie 0.4 % apart. Among equals
    the one nearest to that of the likelihood wins. On few samples this fits the noise of the bins: prefer the
    likelihood below some thousand samples. Where every answer is right, T stays 1, as with the likelihood: the error
    would be smallest where every confidence is 1.

    Args:
        bins: bins of equal width of the error.

    Attributes:
        temperature_: T.
        ece_: the error that it leaves on the samples it was fitted on.
        at_bound_: whether T lies at the end of what was tried, or the likelihood had no optimum.

    Source: Mukhoti et al., Calibrating Deep Neural Networks using Focal Loss, 2020, choose T on a grid by the same
    error; the grid is ours.

    Example:
        >>> logits, labels = [[3.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 0.0]], [0, 0, 1, 1]
        >>> scaling = ECETemperature().fit(logits, labels)
        >>> scaling.predict_proba([[3.0, 0.0]]).round(2)
        array([[0.75, 0.25]])
    """

    name: ClassVar[str] = "ece-temperature"
    source: ClassVar[str] = "Mukhoti et al., Calibrating Deep Neural Networks using Focal Loss, 2020"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("temperature_", "ece_", "at_bound_")

    temperature_: float
    ece_: float
    at_bound_: bool

    def __init__(self, bins: int = 15) -> None:
        self.bins = bins

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        if not isinstance(self.bins, int) or isinstance(self.bins, bool) or self.bins < 1:
            raise InputError(f"bins of calibrator '{self.name}' must be a positive integer, not {self.bins!r}")
        logits, labels = predictions.logits, given_labels(predictions, self.name)
        inverse, no_optimum = inverse_temperature(logits, labels)
        if all_right(logits, labels):
            self.temperature_, self.at_bound_ = 1 / inverse, no_optimum
            self.ece_ = float(self._errors(logits, labels, np.array([self.temperature_]))[0])
            return
        best = 1 / inverse
        reach = np.log(FARTHEST)
        for tried in (COARSE, FINE):
            # nearest to the last best first, so that it wins among equals
            steps = np.linspace(-reach, reach, tried)
            temperatures = best * np.exp(steps[np.argsort(np.abs(steps), kind="stable")])
            errors = self._errors(logits, labels, temperatures)
            best, self.ece_ = float(temperatures[errors.argmin()]), float(errors.min())
            reach *= 2 / (tried - 1)
        self.temperature_ = best
        at_end = abs(np.log(best * inverse)) >= np.log(FARTHEST) - 1e-9
        self.at_bound_ = bool(no_optimum or at_end)
        if at_end:
            warnings.warn(
                f"the smallest calibration error lies at the end of the temperatures tried, {best:.3g}; fit on more "
                "held-out samples, or by likelihood (temperature)",
                CalibrantWarning,
                stacklevel=4,
            )

    def _errors(self, logits: Array, labels: Array, temperatures: Float64) -> Float64:
        right = logits.argmax(axis=1) == labels
        edges = bin_edges(np.empty(0), self.bins)
        return np.array(
            [
                error_of(fill(assign(confidence, edges), self.bins, confidence, right))
                for confidence in confidences(logits, 1 / temperatures)
            ]
        )

    def _logits(self, predictions: Predictions) -> Float64:
        return divided(predictions.logits, self.temperature_)

    def _check_restored(self) -> None:
        if not as_floats(self.temperature_, "temperature_", ()) > 0:
            raise InputError(f"temperature_ must be a positive number, not {self.temperature_!r}")


def confidences(logits: Array, inverses: Float64) -> Float64:
    """Compute the largest probability of every sample for each of some inverse temperatures.

    Args:
        logits: finite numbers [N, C].
        inverses: float64 [K].

    Returns:
        float64 [K, N].

    Example:
        >>> confidences(np.array([[2.0, 0.0]]), np.array([0.0, 1.0])).round(2)
        array([[0.5 ],
               [0.88]])
    """
    result = np.empty((len(inverses), len(logits)))
    at_once = max(1, ENTRIES // logits.shape[1])
    for start in range(0, len(logits), at_once):
        rows = slice(start, start + at_once)
        below = logits[rows].astype(np.float64)
        below -= below.max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):  # -inf, whose exponential is the right 0
            for row, inverse in zip(result, inverses, strict=True):
                row[rows] = 1 / np.exp(inverse * below).sum(axis=1)
    return result
