"""The calibration error that a perfectly calibrated model has on a finite set."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Float64, as_probabilities
from calibrant.metrics.binning import Binning, assign, bin_edges


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
