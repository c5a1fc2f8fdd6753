"""Bins of confidence: right-closed, the first one closed at 0 too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.errors import InputError, unknown

Binning = Literal["width", "mass"]


def bin_edges(confidence: Float64, bins: int, binning: str = "width") -> Float64:
    """Choose the edges of the bins.

    Args:
        confidence: float64 [N].
        bins: how many.
        binning: ``"width"`` for bins of equal width, ``"mass"`` for bins of equally many samples; samples
            of equal confidence are never parted, so that the order of the samples does not matter.

    Returns:
        float64 [bins + 1] from 0 to 1.

    Raises:
        InputError: if `bins` is not a positive integer or `binning` does not exist.

    Example:
        >>> bin_edges(np.array([0.3, 0.4, 0.9, 0.95]), 2, "mass")
        array([0. , 0.4, 1. ])
    """
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise InputError(f"bins must be a positive integer, not {bins!r}")
    if binning == "width":
        return np.arange(bins + 1) / bins
    if binning == "mass":
        last = (len(confidence) * np.arange(1, bins) + bins - 1) // bins - 1
        inner = np.sort(confidence)[np.maximum(last, 0)]
        return np.concatenate([[0.0], inner, [1.0]])
    raise unknown("binning", binning, ["width", "mass"])


def assign(confidence: Float64, edges: Float64) -> Int64:
    """Find the bin of each confidence: bin b holds what is above edge b and at most edge b + 1.

    Args:
        confidence: float64 [N]; exactly 0 falls into the first bin, exactly 1 into the last.
        edges: float64 [bins + 1].

    Returns:
        int64 [N].

    Example:
        >>> assign(np.array([0.0, 0.5, 0.51, 1.0]), np.array([0, 0.5, 1]))
        array([0, 0, 1, 1])
    """
    return np.searchsorted(edges[1:-1], confidence, side="left").astype(np.int64, copy=False)


@dataclass(frozen=True, eq=False)
class Bins:
    """Confidence and correctness summed per bin.

    Args:
        count: float64 [..., bins], samples per bin.
        confidence: float64 [..., bins], sum of their confidence.
        correct: float64 [..., bins], how many are right.
    """

    count: Float64
    confidence: Float64
    correct: Float64

    @property
    def weight(self) -> Float64:
        """Share of the samples in each bin."""
        share: Float64 = self.count / self.count.sum(axis=-1, keepdims=True)
        return share

    @property
    def accuracy(self) -> Float64:
        """Share of right answers in each bin, 0 in an empty one."""
        return self.correct / np.maximum(self.count, 1)

    @property
    def gap(self) -> Float64:
        """Accuracy minus mean confidence of each bin, 0 in an empty one."""
        return (self.correct - self.confidence) / np.maximum(self.count, 1)


def fill(index: Int64, bins: int, confidence: Float64, correct: Array, weight: Float64 | None = None) -> Bins:
    """Sum samples per bin.

    Args:
        index: int64 [N], the bin of each sample.
        bins: how many bins there are.
        confidence: float64 [N].
        correct: bool [N].
        weight: how often each sample counts, float64 [N]; once by default.

    Returns:
        The sums [bins].

    Example:
        >>> fill(np.array([0, 1, 1]), 2, np.array([0.1, 0.7, 0.9]), np.array([0, 1, 1])).gap.round(3)
        array([-0.1,  0.2])
    """
    w: Float64 = np.ones(len(index)) if weight is None else weight

    def summed(values: Array) -> Float64:
        return np.bincount(index, values, bins).astype(np.float64, copy=False)

    return Bins(summed(w), summed(w * confidence), summed(w * correct))
