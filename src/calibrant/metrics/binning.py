"""Bins of confidence: right-closed, the first one closed at 0 too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.errors import InputError, unknown

Binning = Literal["width", "mass"]
AnyBinning = Literal["width", "mass", "adaptive"]


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
    bins = _positive(bins)
    if binning == "width":
        return np.arange(bins + 1) / bins
    if binning == "mass":
        last = (len(confidence) * np.arange(1, bins) + bins - 1) // bins - 1
        inner = np.sort(confidence)[np.maximum(last, 0)]
        return np.concatenate([[0.0], inner, [1.0]])
    raise unknown("binning", binning, ["width", "mass"])


def adaptive_edges(confidence: Float64, correct: Array, most: int) -> Float64:
    """Choose the edges of as many bins of equal mass as leave the accuracy rising from bin to bin.

    Args:
        confidence: float64 [N].
        correct: bool [N].
        most: how many bins there may be.

    Returns:
        float64 [bins + 1] from 0 to 1, for the last number of bins, counted up from 1, before the accuracy falls
        somewhere from one bin to the next.

    Raises:
        InputError: if `most` is not a positive integer.

    Source: Roelofs et al., Mitigating bias in calibration error estimation, 2022 (the sweep).

    Example:
        >>> adaptive_edges(np.array([0.2, 0.4, 0.6, 0.8]), np.array([0, 1, 0, 1]), 15)
        array([0. , 0.4, 1. ])
    """
    most, edges = _positive(most), bin_edges(confidence, 1)
    order = np.argsort(confidence)
    ascending, right = confidence[order], np.append(0, np.cumsum(correct[order]))
    # more bins than samples of different confidence only add empty ones
    for bins in range(2, min(most, len(np.unique(ascending))) + 1):
        finer = bin_edges(ascending, bins, "mass")
        ends = np.append(np.searchsorted(ascending, finer[1:-1], side="right"), len(ascending))
        ends = np.unique(np.append(0, ends))
        if (np.diff(np.diff(right[ends]) / np.diff(ends)) < 0).any():
            break
        edges = finer
    return edges


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
    bins = len(edges) - 1
    if not np.array_equal(edges, np.arange(bins + 1) / bins):
        return np.searchsorted(edges[1:-1], confidence, side="left").astype(np.int64, copy=False)
    # with equal widths the product is at most rounding away from the bin, and the edge below it decides
    index: Int64 = np.clip(confidence * bins, 0, bins - 1).astype(np.int64)
    index -= (confidence <= edges[index]) & (index > 0)
    return index


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

    def summed(values: Array | None) -> Float64:
        return np.bincount(index, values, bins).astype(np.float64, copy=False)

    if weight is None:
        return Bins(summed(None), summed(confidence), summed(correct))
    return Bins(summed(weight), summed(weight * confidence), summed(weight * correct))


def binned(confidence: Float64, correct: Array, bins: int, binning: str) -> Bins:
    """Choose bins and sum samples per bin.

    Args:
        confidence: float64 [N].
        correct: bool [N].
        bins: how many; the most there may be if they are adaptive.
        binning: ``"width"``, ``"mass"`` or ``"adaptive"``.

    Returns:
        The sums [bins]; adaptive bins that are not needed are empty.

    Raises:
        InputError: if `bins` is not a positive integer or `binning` does not exist.

    Example:
        >>> binned(np.array([0.2, 0.4, 0.6, 0.8]), np.array([0, 1, 0, 1]), 2, "width").gap.round(3)
        array([ 0.2, -0.2])
    """
    if binning == "adaptive":
        edges = adaptive_edges(confidence, correct, bins)
    elif binning in ("width", "mass"):
        edges = bin_edges(confidence, bins, binning)
    else:
        raise unknown("binning", binning, ["width", "mass", "adaptive"])
    return fill(assign(confidence, edges), bins, confidence, correct)


def _positive(bins: Any) -> int:
    if isinstance(bins, bool) or not isinstance(bins, int | np.integer) or bins < 1:
        raise InputError(f"bins must be a positive integer, not {bins!r}")
    return int(bins)
