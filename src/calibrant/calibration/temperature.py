"""Temperature scaling: one number that divides all logits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.tempered_likelihood import tempered_likelihood
from calibrant.errors import CalibrantWarning, InputError
from calibrant.predictions import Predictions

MANY = 4096  # samples from which on some of them show where to start
ENOUGH = 1e-5  # nats from the infimum at which a temperature without optimum stops
STEPS = 200  # far more than Newton or doubling ever take


class TemperatureScaling(LogitCalibrator):
    """Probabilities softmax(logits / T) with the T that minimises the negative log-likelihood.

    The likelihood is convex in 1 / T, so a Newton iteration kept inside a bracket finds the optimum from any start,
    here from the optimum of some of the samples where there are many; all is computed in float64 whatever the logits
    are. There is no optimum if every label has the largest logit (T would go to 0) or if the logits are no better than
    chance (T would go to infinity). Then `at_bound_` is true, a warning says so, and T is the one next to 1, by
    doubling, whose likelihood is within 1e-5 nats of what can be reached.

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
        if not np.isfinite(result).all():
            result = np.maximum((scaled - scaled.max(axis=1, keepdims=True)) / temperature, -1e300)
    return result


def inverse_temperature(logits: Array, labels: Int64) -> tuple[float, bool]:
    """Find the inverse temperature that minimises the negative log-likelihood.

    Args:
        logits: finite numbers [N, C].
        labels: int64 [N].

    Returns:
        1 / T, and whether there is no optimum, so that it was stopped on the way to infinity or 0.

    Warns:
        CalibrantWarning: if there is no optimum.
    """
    obstacle = _obstacle(logits, labels)
    if obstacle is not None:
        return _stop(logits, labels, obstacle), True
    return _optimum(logits, labels), False


class Obstacle(NamedTuple):
    """Why there is no optimum, by which factor to go on, and the likelihood that is never reached."""

    reason: str
    factor: float
    limit: float


def _obstacle(logits: Array, labels: Int64) -> Obstacle | None:
    largest = logits.max(axis=1)
    of_label = logits[np.arange(len(logits)), labels]
    if (largest == of_label).all():
        tied = (logits == largest[:, None]).sum(axis=1)
        reason = "every label has the largest logit: the optimum is a temperature of 0"
        return Obstacle(reason, 2.0, float(np.log(tied).mean()))
    # the slope where all classes are equally likely
    below = largest.astype(np.float64)
    if (logits.mean(axis=1, dtype=np.float64) - below).mean() >= (of_label - below).mean():
        reason = "the logits are no better than chance: the optimum is an infinite temperature"
        return Obstacle(reason, 0.5, float(np.log(logits.shape[1])))
    return None


def _optimum(logits: Array, labels: Int64) -> float:
    """Newton, from the optimum of an eighth of the samples where they are many: two steps on all of them are enough."""
    start = 1.0
    if len(logits) >= MANY:
        some, of_some = logits[::8], labels[::8]
        if _obstacle(some, of_some) is None:
            start = _optimum(some, of_some)
    return _newton(logits, labels, start)


def _newton(logits: Array, labels: Int64, inverse: float) -> float:
    """Find the root of the derivative, which rises from below 0 at 0 to above 0 at infinity."""
    low, high = 0.0, np.inf
    for _ in range(STEPS):
        _, first, second = (float(part.mean()) for part in tempered_likelihood(logits, labels, inverse))
        if first < 0:
            low = inverse
        else:
            high = inverse
        step = inverse - first / second if second > 0 else np.nan
        newton = low <= step <= high
        if not newton:  # outside the bracket, or no curvature left: go on by factors
            step = 8 * low if high == np.inf else (high / 8 if low == 0 else np.sqrt(low * high))
        elif step > 8 * inverse or step < inverse / 8:
            step = 8 * inverse if step > inverse else inverse / 8
        # a Newton step squares the relative error, times 50 at most: the curvature takes 1 % or more to change by a
        # factor of e, since logits that are further below the largest do not count any more
        if abs(step - inverse) <= (1e-4 if newton else 1e-12) * inverse:
            return float(step)
        inverse = step
    return float(inverse)


def _stop(logits: Array, labels: Int64, obstacle: Obstacle) -> float:
    """Go from 1 by a factor until the likelihood is as good as its limit."""
    inverse = 1.0
    for _ in range(STEPS):
        if tempered_likelihood(logits, labels, inverse).value.mean() - obstacle.limit <= ENOUGH:
            break
        inverse *= obstacle.factor
    warnings.warn(
        f"{obstacle.reason}; {1 / inverse:.3g} is used. Fit on more held-out samples to get a meaningful one",
        CalibrantWarning,
        stacklevel=5,
    )
    return inverse
