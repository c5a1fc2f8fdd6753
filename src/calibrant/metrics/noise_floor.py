"""The calibration error of a perfectly calibrated model on a finite set, and whether a measured one exceeds it."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_probabilities
from calibrant.errors import InputError
from calibrant.metrics.answers import answers
from calibrant.metrics.binning import Binning, assign, bin_edges, fill
from calibrant.metrics.binomial import effective_counts
from calibrant.metrics.bootstrap import unit_index
from calibrant.metrics.calibration import plain_l1

DRAWS_AT_ONCE = 500_000  # of answers


def noise_floor(probs: Any, bins: int = 15, binning: Binning = "width") -> float:
    """Expected ECE of a perfectly calibrated model with these confidences, on as many independent samples.

    No difference below it means anything. Per bin it is the mean absolute deviation of a binomial count (De
    Moivre's closed form), scaled to the variance that the different confidences in the bin have.

    Args:
        probs: probabilities [N, C].
        bins: how many bins.
        binning: ``"width"`` or ``"mass"``.

    Returns:
        0 to 1; about 0.8 sqrt(bins / N) times the usual spread of an answer.

    Raises:
        InputError: if the rows are no probabilities or an option does not exist.

    Source: Diaconis and Zabell, Closed form summation for classical distributions, 1991 (De Moivre's
    formula).

    Example:
        >>> round(noise_floor([[0.5, 0.5]] * 100), 4)
        0.0398
    """
    return floor_of(as_probabilities(probs).max(axis=1).astype(np.float64), bins, binning)


def calibration_p_value(
    probs: Any,
    labels: Any,
    bins: int = 15,
    binning: Binning = "width",
    *,
    units: Any = None,
    resamples: int = 1000,
    seed: int = 0,
) -> float:
    """How often a perfectly calibrated model would show an ECE at least as large as this one (consistency resampling).

    The hypothesis is that there is no calibration error beyond noise. Under it each answer is right with the
    probability that its confidence says; such answers are drawn again and again, with the confidences as they are. The
    ECE is plain, since all sets have the same size.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins.
        binning: ``"width"`` or ``"mass"``.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent. The
            noise of each bin is widened by the root of its design effect, as that of `share` is.
        resamples: R, how many sets are drawn.
        seed: of the draws.

    Returns:
        1 / (R + 1) to 1. Small: the error is real. Large: nothing is shown, neither an error nor calibration.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option does not exist.

    Source: Broecker and Smith, Increasing the reliability of reliability diagrams, 2007 (consistency resampling);
    Vaicenavicius et al., Evaluating model calibration in classification, 2019 (as a test, with confidences kept).

    Example:
        >>> calibration_p_value([[0.9, 0.1]] * 40, [0] * 36 + [1] * 4), calibration_p_value([[0.9, 0.1]] * 40, [1] * 40)
        (1.0, 0.000999000999000999)
    """
    if resamples < 1:
        raise InputError(f"resamples must be a positive integer, not {resamples}")
    confidence, correct = answers(probs, labels)
    return p_value_of(confidence, correct, bins, binning, unit_index(units, len(correct))[0], resamples, seed)


def p_value_of(
    confidence: Float64, correct: Array, bins: int, binning: Binning, unit: Int64, resamples: int, seed: int
) -> float:
    """Compute `calibration_p_value` from the answers.

    Args:
        confidence: float64 [N].
        correct: bool [N].
        bins: how many bins.
        binning: ``"width"`` or ``"mass"``.
        unit: int64 [N], the unit of independence of each sample.
        resamples: R.
        seed: of the draws.

    Returns:
        The p-value.
    """
    index = assign(confidence, bin_edges(confidence, bins, binning))
    sums = fill(index, bins, confidence, correct)
    widened = np.sqrt(sums.count / np.maximum(effective_counts(correct, index, bins, unit), 1))
    by_bin = np.argsort(index, kind="stable")
    filled = np.flatnonzero(sums.count)
    starts, chance = np.searchsorted(index[by_bin], filled), confidence[by_bin]
    # a margin for rounding: with equal confidences drawn errors equal the measured one
    measured, beyond = float(plain_l1(sums)) * len(index) * (1 - 1e-12), 0
    generator = np.random.default_rng(seed)
    rows = max(1, DRAWS_AT_ONCE // len(index))
    for start in range(0, resamples, rows):
        right = generator.random((min(rows, resamples - start), len(index))) < chance
        excess = np.add.reduceat(right, starts, axis=1, dtype=np.float64) - sums.confidence[filled]
        beyond += int((np.abs(excess) @ widened[filled] >= measured).sum())
    return (1 + beyond) / (1 + resamples)


def floor_of(confidence: Float64, bins: int, binning: Binning = "width") -> float:
    """Compute the noise floor from confidences.

    Args:
        confidence: float64 [N].
        bins: how many bins.
        binning: ``"width"`` or ``"mass"``.

    Returns:
        The expected ECE.
    """
    index = assign(confidence, bin_edges(confidence, bins, binning))
    count = np.bincount(index, minlength=bins).astype(np.float64)
    mean = np.bincount(index, confidence, bins) / np.maximum(count, 1)
    # rounding may leave a float32 confidence a little above 1
    variance = np.maximum(np.bincount(index, confidence * (1 - confidence), bins), 0)
    binomial = count * mean * (1 - mean)
    random = (variance > 0) & (binomial > 0)
    n, p = count[random], mean[random]
    deviation = _mean_absolute_deviation(n, p) * np.sqrt(variance[random] / binomial[random])
    return float(deviation.sum() / len(confidence))


def _mean_absolute_deviation(n: Float64, p: Float64) -> Float64:
    """E|K - n p| of K ~ Binomial(n, p): 2 v C(n, v) p^v (1 - p)^(n - v + 1), v the next integer after n p."""
    from scipy.special import gammaln

    v = np.minimum(np.floor(n * p) + 1, n)
    log = gammaln(n + 1) - gammaln(v + 1) - gammaln(n - v + 1) + v * np.log(p) + (n - v + 1) * np.log1p(-p)
    result: Float64 = 2 * v * np.exp(log)
    return result
