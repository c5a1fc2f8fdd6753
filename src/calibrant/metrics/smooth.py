"""The error of calibration with a smooth kernel instead of bins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.errors import InputError
from calibrant.metrics.answers import answers

CELLS = 2**14  # of the grid on which the kernel is applied
HALVINGS = 32  # of the search for the width: far below the precision of the grid


def smooth_ece(probs: Any, labels: Any, bandwidth: float | None = None) -> float:
    """Distance between confidence and accuracy of the answer, smoothed by a kernel instead of binned (top-label).

    With r_i the correctness minus the confidence c_i of sample i and K a Gaussian kernel that is reflected at 0 and 1,
    it is the integral over t of |sum_i K(t, c_i) r_i| / N. It changes continuously with the confidences, which no
    binned error does. By default the kernel has the width at which the error equals that width, so nothing is left to
    choose.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bandwidth: standard deviation of the kernel, above 0 and at most 1, in units of confidence; None finds the width
            that equals the error.

    Returns:
        0 to 1. Errors below about 1e-4 are those of the grid.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or the bandwidth is out of range.

    Source: Blasiok and Nakkiran, Smooth ECE: principled reliability diagrams via kernel smoothing, 2023.

    Example:
        >>> round(smooth_ece([[0.75, 0.25], [0.75, 0.25]], [0, 0]), 6)
        0.25
    """
    return smooth_ece_of(*answers(probs, labels), bandwidth)


def smooth_ece_of(confidence: Float64, correct: Array, bandwidth: float | None = None) -> float:
    """Compute the smooth ECE from the confidence, float64 [N], and correctness, bool [N], of the answers."""
    if bandwidth is not None and not 0 < bandwidth <= 1:
        raise InputError(f"the bandwidth of the kernel must be above 0 and at most 1, not {bandwidth}")
    error = _error_by_width(confidence, correct)
    return error(bandwidth) if bandwidth is not None else error(_fixed_point(error))


def _error_by_width(confidence: Float64, correct: Array) -> Callable[[float], float]:
    """Prepare the error as a function of the kernel's width.

    A Gaussian that is reflected at both ends multiplies the k-th cosine of [0, 1] by exp(-(pi k width)^2 / 2), so one
    cosine transform there and one back apply it exactly.
    """
    from scipy.fft import dct

    # SciPy's transform counts inner points twice and the two ends once
    once = np.full(CELLS + 1, 0.5)
    once[[0, -1]] = 1
    cosines = dct(once * _on_grid(confidence, (correct - confidence) / len(confidence)), type=1)
    frequency = np.pi * np.arange(CELLS + 1)
    length = np.full(CELLS + 1, 1 / CELLS)
    length[[0, -1]] /= 2

    def error(width: float) -> float:
        with np.errstate(under="ignore"):
            density = dct(cosines * np.exp(-((frequency * width) ** 2) / 2), type=1)
        return float(min(1.0, length @ np.abs(density)))

    return error


def _on_grid(position: Float64, value: Float64) -> Float64:
    """Share each value between the two grid points beside its position, which keeps the mean position."""
    place = np.clip(position, 0, 1) * CELLS
    left = np.minimum(place.astype(np.int64), CELLS - 1)
    right_share = place - left
    grid = np.zeros(CELLS + 1)
    grid += np.bincount(left, value * (1 - right_share), CELLS + 1)
    grid += np.bincount(left + 1, value * right_share, CELLS + 1)
    return grid


def _fixed_point(error: Callable[[float], float]) -> float:
    """Find the width that equals its error; the error falls as the width grows."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if error(middle) > middle else (low, middle)
    return high
