"""Temperature scaling: one number that divides all logits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.errors import CalibrantWarning, InputError
from calibrant.predictions import Predictions

ROWS = 4096  # rows turned into float64 at a time
ENOUGH = 1e-5  # nats from the infimum at which a temperature without optimum stops
STEPS = 200  # far more than Newton or doubling ever take


class Slope(NamedTuple):
    """Mean negative log-likelihood with its derivatives by the inverse temperature."""

    value: float
    first: float
    second: float


class TemperatureScaling(LogitCalibrator):
    """Probabilities softmax(logits / T) with the T that minimises the negative log-likelihood.

    The likelihood is convex in 1 / T, so a Newton iteration kept inside a bracket finds the optimum from
    any start, computed in float64 whatever the logits are. There is none if every label has the largest
    logit (T would go to 0) or if the logits are no better than chance (T would go to infinity). Then
    `at_bound_` is true, a warning says so, and T is the one next to 1, by doubling, whose likelihood is
    within 1e-5 nats of what can be reached.

    Predictions made of probabilities are welcome: softmax(log p / T) is p^(1/T), normalised.

    Attributes:
        temperature_: T; above 1 the model was over-confident.
        at_bound_: whether there was no optimum.

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2.

    Example:
        >>> logits, labels = [[3.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 0.0]], [0, 0, 1, 1]
        >>> scaling = TemperatureScaling().fit(logits, labels)
        >>> round(scaling.temperature_, 3), scaling.predict_proba([[3.0, 0.0]]).round(2)
        (2.731, array([[0.75, 0.25]]))
    """

    name: ClassVar[str] = "temperature"
    source: ClassVar[str] = "Guo et al., On Calibration of Modern Neural Networks, 2017"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("temperature_", "at_bound_")

    temperature_: float
    at_bound_: bool

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        inverse, self.at_bound_ = inverse_temperature(predictions.logits, given_labels(predictions, self.name))
        self.temperature_ = 1 / inverse

    def _logits(self, predictions: Predictions) -> Float64:
        return divided(predictions.logits, self.temperature_)

    def _check_restored(self) -> None:
        if not isinstance(self.temperature_, int | float) or not 0 < self.temperature_ < np.inf:
            raise InputError(f"temperature_ must be a positive number, not {self.temperature_!r}")


def divided(logits: Array, temperature: float) -> Float64:
    """Divide logits by a temperature without overflow.

    Args:
        logits: finite numbers [N, C].
        temperature: above 0.

    Returns:
        float64 [N, C], finite. Where a tiny temperature would overflow, rows are shifted to a largest logit of 0, which
        leaves their softmax alone, and what is still too far below counts as -1e300.

    Example:
        >>> divided(np.array([[1e10, 0.0]]), 1e-300)
        array([[ 0.e+000, -1.e+300]])
    """
    scaled: Float64 = logits.astype(np.float64)
    with np.errstate(over="ignore"):
        result: Float64 = scaled / temperature
        if np.isfinite(result).all():
            return result
        return np.maximum((scaled - scaled.max(axis=1, keepdims=True)) / temperature, -1e300)


def inverse_temperature(logits: Array, labels: Int64) -> tuple[float, bool]:
    """Find the inverse temperature that minimises the negative log-likelihood.

    Args:
        logits: finite numbers [N, C].
        labels: int64 [N].

    Returns:
        1 / T, and whether there is no optimum, so that it was stopped on the way to infinity or 0.
    """
    below = logits.max(axis=1).astype(np.float64) - logits[np.arange(len(logits)), labels]
    if not below.any():
        limit = float(np.log((logits == logits.max(axis=1, keepdims=True)).sum(axis=1)).mean())
        return _stop(
            logits, labels, 2.0, limit, "every label has the largest logit: the optimum is a temperature of 0"
        ), True
    if _slope(logits, labels, 0.0).first >= 0:
        limit = float(np.log(logits.shape[1]))
        return _stop(
            logits,
            labels,
            0.5,
            limit,
            "the logits are no better than chance: the optimum is an infinite temperature",
        ), True
    return _newton(logits, labels), False


def _slope(logits: Array, labels: Int64, inverse: float) -> Slope:
    """Value, mean(E[z] - z_label) and mean(Var[z]) under softmax(inverse * z), z below its maximum."""
    sums = np.zeros(3)
    for start in range(0, len(logits), ROWS):
        z = logits[start : start + ROWS].astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):  # -inf, whose exponential is the right 0
            p = np.exp(inverse * z)
        total = p.sum(axis=1)
        p /= total[:, None]
        mean = np.einsum("nc,nc->n", p, z)
        square = np.einsum("nc,nc,nc->n", p, z, z)
        of_label = z[np.arange(len(z)), labels[start : start + ROWS]]
        sums += [
            (np.log(total) - inverse * of_label).sum(),
            (mean - of_label).sum(),
            (square - mean**2).sum(),
        ]
    return Slope(*(sums / len(logits)).tolist())


def _newton(logits: Array, labels: Int64) -> float:
    """Find the root of the derivative, which rises from below 0 at 0 to above 0 at infinity."""
    low, high, inverse = 0.0, np.inf, 1.0
    for _ in range(STEPS):
        slope = _slope(logits, labels, inverse)
        if slope.first < 0:
            low = inverse
        else:
            high = inverse
        step = inverse - slope.first / slope.second if slope.second > 0 else np.nan
        if not low <= step <= high:  # outside the bracket, or no curvature left: go on by factors
            step = 8 * low if high == np.inf else (high / 8 if low == 0 else np.sqrt(low * high))
        elif step > 8 * inverse or step < inverse / 8:
            step = 8 * inverse if step > inverse else inverse / 8
        if abs(step - inverse) <= 1e-10 * inverse:
            return float(step)
        inverse = step
    return float(inverse)


def _stop(logits: Array, labels: Int64, factor: float, limit: float, reason: str) -> float:
    """Go from 1 by a factor until the likelihood is as good as its limit."""
    inverse = 1.0
    for _ in range(STEPS):
        if _slope(logits, labels, inverse).value - limit <= ENOUGH:
            break
        inverse *= factor
    warnings.warn(
        f"{reason}; {1 / inverse:.3g} is used. Fit on more held-out samples to get a meaningful one",
        CalibrantWarning,
        stacklevel=5,
    )
    return inverse
