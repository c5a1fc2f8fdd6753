"""Temperature scaling: one number that divides all logits."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar

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
    are. There is no optimum in two cases; `at_bound_` is true then, and a warning says so. Where every label has the
    largest logit the likelihood would have T go to 0 and every confidence to 1, although samples without an error do
    not tell how sure to be: T stays 1. Where the logits are no better than chance T would go to infinity: it is the
    one next to 1, by doubling, whose likelihood is within 1e-5 nats of what can be reached.

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
        1 / T, and whether there is no optimum: then it is 1 where every label has the largest logit, and stopped on the
        way to 0 where the logits are no better than chance.

    Warns:
        CalibrantWarning: if there is no optimum.
    """
    if all_right(logits, labels):
        warnings.warn(
            "every answer is right (every label has the largest logit), so the samples do not tell how sure to be, and "
            "the temperature stays 1; fit on more held-out samples",
            CalibrantWarning,
            stacklevel=4,
        )
        return 1.0, True
    if _no_better_than_chance(logits, labels):
        return _nearly_flat(logits, labels), True
    return _optimum(logits, labels), False


def all_right(logits: Array, labels: Int64) -> bool:
    """Tell whether every label has the largest logit, so that the likelihood would have every confidence go to 1.

    Example:
        >>> all_right(np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([0, 1]))
        True
    """
    return bool((logits.max(axis=1) == logits[np.arange(len(logits)), labels]).all())


def _no_better_than_chance(logits: Array, labels: Int64) -> bool:
    """Tell it from the slope of the likelihood where all classes are equally likely."""
    largest = logits.max(axis=1).astype(np.float64)
    of_label = logits[np.arange(len(logits)), labels]
    return bool((logits.mean(axis=1, dtype=np.float64) - largest).mean() >= (of_label - largest).mean())


def _optimum(logits: Array, labels: Int64) -> float:
    """Newton, from the optimum of an eighth of the samples where they are many: two steps on all of them are enough."""
    start = 1.0
    if len(logits) >= MANY:
        some, of_some = logits[::8], labels[::8]
        if not all_right(some, of_some) and not _no_better_than_chance(some, of_some):
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


def _nearly_flat(logits: Array, labels: Int64) -> float:
    """Halve from 1 until the likelihood is as good as that of equally likely classes, which is never reached."""
    inverse, limit = 1.0, float(np.log(logits.shape[1]))
    for _ in range(STEPS):
        if tempered_likelihood(logits, labels, inverse).value.mean() - limit <= ENOUGH:
            break
        inverse /= 2
    warnings.warn(
        "the logits are no better than chance: the optimum is an infinite temperature; "
        f"{1 / inverse:.3g} is used. Fit on more held-out samples to get a meaningful one",
        CalibrantWarning,
        stacklevel=5,
    )
    return inverse
