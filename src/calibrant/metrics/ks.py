"""The error of calibration without bins, by the largest gap between two cumulative curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.metrics.answers import answers


def ks_error(probs: Any, labels: Any) -> float:
    """Largest distance between the cumulative confidence and the cumulative accuracy of the answers (top-label).

    It has no bins: max over c of |sum of (correctness - confidence) of the samples with confidence at most c| / N, the
    statistic of Kolmogorov and Smirnov. It is the difference between mean confidence and accuracy where a model is too
    sure at every confidence, or not sure enough at every one, and larger where some of each would cancel.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to 1.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Source: Gupta et al., Calibration of neural networks using splines, 2021.

    Example:
        >>> ks_error([[0.75, 0.25], [0.75, 0.25], [1.0, 0.0], [1.0, 0.0]], [0, 1, 0, 0])
        0.125
    """
    return ks_of(*answers(probs, labels))


def ks_of(confidence: Float64, correct: Array) -> float:
    """Compute the KS error from the confidence, float64 [N], and correctness, bool [N], of the answers."""
    order = np.argsort(confidence)
    ascending = confidence[order]
    curve = np.cumsum(correct[order] - ascending)
    # samples of equal confidence have no order, so only the end of each such group counts
    ends = np.append(ascending[1:] > ascending[:-1], True)
    return float(np.abs(curve[ends]).max() / len(confidence))
