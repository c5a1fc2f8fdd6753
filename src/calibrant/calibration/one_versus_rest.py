"""What calibrators that treat every class by itself share: rows that sum to 1, and maps that a file may hold."""

from __future__ import annotations

import numpy as np

from calibrant.arrays import Float64
from calibrant.errors import InputError


def normalised(estimates: Float64, before: Float64) -> Float64:
    """Divide the one-versus-rest estimates of each sample by their sum.

    Args:
        estimates: one per class, each made without the others, float64 [N, C], not negative.
        before: probabilities before calibration, float64 [N, C]. They stay where all estimates are 0, since nothing is
            known of such a sample.

    Returns:
        float64 [N, C]; rows sum to 1.

    Example:
        >>> normalised(np.array([[0.3, 0.3], [0.0, 0.0]]), np.array([[0.6, 0.4], [0.9, 0.1]]))
        array([[0.5, 0.5],
               [0.9, 0.1]])
    """
    sums = estimates.sum(axis=1, keepdims=True)
    return np.where(sums > 0, estimates / np.where(sums > 0, sums, 1.0), before)


def check_map(name: str, points: Float64) -> None:
    """Refuse a map from probabilities to probabilities, read from a file, that cannot have been fitted.

    Args:
        name: what stores it, for the error.
        points: inputs, which must rise, and outputs, float64 [2, K].

    Raises:
        InputError: if the shape is another, the inputs do not rise, or a number is no probability.

    Example:
        >>> check_map("map_", np.array([[0.1, 0.9], [0.2, 1.1]]))
        Traceback (most recent call last):
        calibrant.errors.InputError: map_ must go from rising probabilities [K] to probabilities [K]
    """
    good = (
        isinstance(points, np.ndarray)
        and points.dtype == np.float64
        and points.ndim == 2
        and len(points) == 2
        and points.size > 0
    )
    if not good or not ((points >= 0) & (points <= 1)).all() or (np.diff(points[0]) <= 0).any():
        raise InputError(f"{name} must go from rising probabilities [K] to probabilities [K]")
