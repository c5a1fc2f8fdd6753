"""The numbers of a reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.metrics.binning import Binning, assign, bin_edges, fill
from calibrant.metrics.binomial import shares
from calibrant.metrics.bootstrap import unit_index
from calibrant.metrics.scores import checked, top_label


@dataclass(frozen=True, eq=False)
class Reliability:
    """Accuracy against confidence, per bin.

    Args:
        edges: float64 [bins + 1], from 0 to 1.
        count: int64 [bins], samples per bin.
        confidence: float64 [bins], their mean confidence; NaN in an empty bin.
        accuracy: float64 [bins], share of right answers; NaN in an empty bin.
        low: float64 [bins], lower end of the 95 % interval of the accuracy; NaN in an empty bin.
        high: float64 [bins], its upper end.
    """

    edges: Float64
    count: Int64
    confidence: Float64
    accuracy: Float64
    low: Float64
    high: Float64


def reliability(
    probs: Any, labels: Any, bins: int = 15, binning: Binning = "width", *, units: Any = None
) -> Reliability:
    """Compare confidence and accuracy bin by bin, with exact binomial intervals.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins.
        binning: ``"width"`` or ``"mass"``.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent.

    Returns:
        Arrays for the diagram; the intervals are those of `share` in each bin.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, lengths differ, or an option does not
            exist.

    Example:
        >>> curve = reliability([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], [0, 1, 0], bins=2)
        >>> curve.count, curve.accuracy.round(3)
        (array([0, 3]), array([  nan, 0.667]))
    """
    return reliability_of(*top_label(*checked(probs, labels)), bins, binning, units)


def reliability_of(
    confidence: Float64, correct: Array, bins: int = 15, binning: Binning = "width", units: Any = None
) -> Reliability:
    """Compute `reliability` from the confidence, float64 [N], and correctness, bool [N], of the answers."""
    edges = bin_edges(confidence, bins, binning)
    index = assign(confidence, edges)
    sums = fill(index, bins, confidence, correct)
    empty = sums.count == 0
    low, high = shares(correct, index, bins, unit_index(units, len(confidence))[0])
    mean = np.where(empty, np.nan, sums.confidence / np.maximum(sums.count, 1))
    return Reliability(edges, sums.count.astype(np.int64), mean, np.where(empty, np.nan, sums.accuracy), low, high)
