"""The error of calibration: how far confidence and accuracy lie apart."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from calibrant.arrays import Float64
from calibrant.errors import InputError, unknown
from calibrant.metrics.answers import answers, answers_from_logits
from calibrant.metrics.binning import AnyBinning, Bins, binned

Norm = Literal["l1", "l2", "max"]


def calibration_error(
    probs: Any,
    labels: Any,
    bins: int = 15,
    binning: AnyBinning = "width",
    norm: Norm = "l1",
    debias: bool = False,
) -> float:
    """Distance between confidence and accuracy of the answer, over bins of confidence (top-label).

    Bins are right-closed, the first one closed at 0, and confidence exactly 1 falls into the last. With g_b
    the accuracy minus the mean confidence of bin b and w_b its share of the samples,

    - ``"l1"`` is sum_b w_b |g_b|, the expected calibration error (ECE);
    - ``"l2"`` is sqrt(sum_b w_b g_b^2);
    - ``"max"`` is max_b |g_b| over bins that hold a sample (MCE), not weighted by their share.

    A calibrated model, too, has a positive error on a finite set (`noise_floor`). `debias` takes the part
    away that chance adds: for ``"l2"`` the unbiased estimate of g_b^2, for ``"l1"`` the expected excess
    when every bin's accuracy is redrawn from its normal distribution, in closed form. Either is cut at 0,
    below which an error cannot lie.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins; with ``"adaptive"`` the most there may be.
        binning: ``"width"`` for equal width, ``"mass"`` for equally many samples, ``"adaptive"`` for as many bins of
            equal mass as leave the accuracy rising with the confidence.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.
        debias: whether to correct for the size of the set; not defined for ``"max"``.

    Returns:
        0 to 1.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option does not exist.

    Source: Naeini et al. 2015 and Guo et al. 2017 for the binned error; Kumar, Liang and Ma, Verified
    Uncertainty Calibration, 2019, for the corrections: the debiased estimator (l2) and the normal one (l1); Roelofs et
    al., Mitigating bias in calibration error estimation, 2022, for the adaptive bins.

    Example:
        >>> round(calibration_error([[0.9, 0.1], [0.9, 0.1]], [0, 1]), 3)
        0.4
    """
    return error_of(binned(*answers(probs, labels), bins, binning), norm, debias)


def calibration_error_from_logits(
    logits: Any,
    labels: Any,
    bins: int = 15,
    binning: AnyBinning = "width",
    norm: Norm = "l1",
    debias: bool = False,
) -> float:
    """Distance between confidence and accuracy of the answer, from logits: `calibration_error` of their softmax.

    The softmax as a whole is never made, so that little more memory is needed than the logits take.

    Args:
        logits: finite numbers [N, C]; NumPy or torch, whose exponentials are taken in their own precision, at least
            float32, and summed in float64.
        labels: class indices [N].
        bins: how many bins; with ``"adaptive"`` the most there may be.
        binning: ``"width"``, ``"mass"`` or ``"adaptive"``.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.
        debias: whether to correct for the size of the set; not defined for ``"max"``.

    Returns:
        0 to 1.

    Raises:
        InputError: if a logit is not finite, a label is no class, or an option does not exist.

    Source: see `calibration_error`.

    Example:
        >>> calibration_error_from_logits([[0.0, 2000.0], [0.0, 2000.0]], [0, 1])
        0.5
    """
    return error_of(binned(*answers_from_logits(logits, labels), bins, binning), norm, debias)


def error_of(bins: Bins, norm: str = "l1", debias: bool = False) -> float:
    """Compute the calibration error of filled bins.

    Args:
        bins: the sums per bin.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.
        debias: whether to correct for the size of the set.

    Returns:
        0 to 1.

    Raises:
        InputError: if the norm does not exist or cannot be debiased.
    """
    if norm == "l1":
        return debiased_l1(bins) if debias else float(plain_l1(bins))
    if norm == "l2":
        excess = _variance(bins) if debias else 0.0
        return float(np.sqrt(max(0.0, (bins.weight * (bins.gap**2 - excess)).sum())))
    if norm == "max":
        if debias:
            raise InputError("the largest gap cannot be debiased; use norm 'l1' or 'l2'")
        return float(np.abs(bins.gap).max())
    raise unknown("norm", norm, ["l1", "l2", "max"])


def plain_l1(bins: Bins) -> Float64:
    """Sum the absolute gaps by the share of their bins.

    Args:
        bins: sums [..., bins].

    Returns:
        float64 [...].
    """
    result: Float64 = (bins.weight * np.abs(bins.gap)).sum(axis=-1)
    return result


def debiased_l1(bins: Bins) -> float:
    """Take from the ECE what redrawing the accuracies would add to it: 2 ECE - E[sum_b w_b |N(g_b, s_b^2)|].

    Args:
        bins: sums [bins].

    Returns:
        0 to 1.
    """
    from scipy.special import erf

    gap = np.abs(bins.gap)
    spread = np.sqrt(bins.accuracy * (1 - bins.accuracy) / np.maximum(bins.count, 1))
    certain = spread == 0
    ratio = gap / np.where(certain, 1.0, spread)
    folded = spread * np.sqrt(2 / np.pi) * np.exp(-(ratio**2) / 2) + gap * erf(ratio / np.sqrt(2))
    redrawn = (bins.weight * np.where(certain, gap, folded)).sum()
    return float(max(0.0, 2 * plain_l1(bins) - redrawn))


def _variance(bins: Bins) -> Float64:
    # a bin with a single sample tells nothing about its variance; Kumar et al. take such a bin's error as 0
    variance: Float64 = bins.accuracy * (1 - bins.accuracy) / np.maximum(bins.count - 1, 1)
    return np.where(bins.count < 2, bins.gap**2, variance)
