"""The error of calibration that sees whether typical and unusual images are calibrated alike."""

from __future__ import annotations

from typing import Any

from calibrant.arrays import Array, Float64, as_floats
from calibrant.errors import InputError
from calibrant.metrics.answers import answers
from calibrant.metrics.binning import assign, bin_edges, fill
from calibrant.metrics.calibration import error_of


def piece(probs: Any, labels: Any, proximity: Any, bins: int = 10, proximity_bins: int = 10) -> float:
    """Distance between confidence and accuracy, over bins of confidence within bins of proximity (PIECE, top-label).

    Images far from all others tend to be answered too surely and images among many others not surely enough; in a plain
    ECE the two cancel, here they do not.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        proximity: how near each sample is to others, [N], for instance from `proximity`.
        bins: how many bins of confidence, of equal width.
        proximity_bins: how many bins of proximity, with equally many samples; samples of equal proximity stay together.

    Returns:
        0 to 1, at least the ECE with the same bins. With so many bins the part that chance adds is large.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, a proximity is not finite, or a number of
            bins is not positive.

    Source: Xiong et al., Proximity-informed calibration for deep neural networks, 2023.

    Example:
        >>> probs, labels = [[0.75, 0.25]] * 4, [0, 0, 0, 1]
        >>> round(piece(probs, labels, [0.1, 0.1, 0.9, 0.9], proximity_bins=2), 3)
        0.25
    """
    confidence, correct = answers(probs, labels)
    near = as_floats(proximity, "proximity", (None,))
    if len(near) != len(confidence):
        raise InputError(f"there are {len(confidence)} rows of probabilities but {len(near)} values of proximity")
    return piece_of(confidence, correct, near, bins, proximity_bins)


def piece_of(confidence: Float64, correct: Array, proximity: Array, bins: int = 10, proximity_bins: int = 10) -> float:
    """Compute PIECE from the confidence, float64 [N], correctness, bool [N], and proximity, [N], of the answers."""
    group = assign(proximity, bin_edges(proximity, proximity_bins, "mass"))
    index = group * bins + assign(confidence, bin_edges(confidence, bins))
    return error_of(fill(index, bins * proximity_bins, confidence, correct))
