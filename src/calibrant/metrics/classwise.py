"""The error of calibration of every class, not only of the one that is answered."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.metrics.binning import AnyBinning, Bins, assign, bin_edges, binned
from calibrant.metrics.calibration import Norm, error_of
from calibrant.metrics.scores import checked

VALUES = 2**17  # how many are read at a time: few enough to stay in the processor's cache from one step to the next
COLUMNS = 64  # how many classes are turned into rows at a time, where each is sorted


def classwise_calibration_error(
    probs: Any,
    labels: Any,
    bins: int = 15,
    binning: AnyBinning = "width",
    norm: Norm = "l1",
    debias: bool = False,
) -> float:
    """Distance between the probability of a class and how often it is true, over bins of every class.

    Each class is binned by its own probability, right or not, and every bin of every class counts by its share of the
    N C probabilities: ``"l1"`` is the mean over classes of their calibration errors (class-wise or static ECE),
    ``"l2"`` the root of the mean of their squares (marginal calibration error), ``"max"`` the largest gap of any class.

    With many classes nearly all probabilities are close to 0, and so is this error.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N]; classes without a sample are counted too.
        bins: how many bins per class; with ``"adaptive"`` the most there may be.
        binning: ``"width"``, ``"mass"`` or ``"adaptive"``, as in `calibration_error`, for each class on its own.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.
        debias: whether to correct for the size of the set; not defined for ``"max"``.

    Returns:
        0 to 1.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option does not exist.

    Source: Kull et al., Beyond temperature scaling, 2019 (class-wise ECE); Nixon et al., Measuring calibration in deep
    learning, 2019 (static calibration error); Kumar, Liang and Ma, Verified uncertainty calibration, 2019
    (marginal calibration error, with equal weights).

    Example:
        >>> round(classwise_calibration_error([[0.9, 0.1, 0.0], [0.9, 0.1, 0.0]], [0, 1]), 4)
        0.2667
    """
    every = bins_per_class(*checked(probs, labels), bins, binning)
    return error_of(Bins(every.count.ravel(), every.confidence.ravel(), every.correct.ravel()), norm, debias)


def calibration_error_per_class(
    probs: Any,
    labels: Any,
    bins: int = 15,
    binning: AnyBinning = "width",
    norm: Norm = "l1",
    debias: bool = False,
) -> Float64:
    """Distance between the probability of a class and how often it is true, one number for each class.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins per class; with ``"adaptive"`` the most there may be.
        binning: ``"width"``, ``"mass"`` or ``"adaptive"``, as in `calibration_error`.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.
        debias: whether to correct for the size of the set; not defined for ``"max"``.

    Returns:
        float64 [C], each 0 to 1; without `debias` the mean of the ``"l1"`` errors is `classwise_calibration_error`.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option does not exist.

    Source: see `classwise_calibration_error`.

    Example:
        >>> calibration_error_per_class([[0.75, 0.25, 0.0], [0.75, 0.25, 0.0]], [0, 1])
        array([0.25, 0.25, 0.  ])
    """
    every = bins_per_class(*checked(probs, labels), bins, binning)
    rows = zip(every.count, every.confidence, every.correct, strict=True)
    return np.array([error_of(Bins(*row), norm, debias) for row in rows])


def full_calibration_error(
    probs: Any,
    labels: Any,
    bins: int = 15,
    binning: AnyBinning = "width",
    norm: Norm = "l1",
    debias: bool = False,
) -> float:
    """Distance between probability and truth over the whole predicted distribution, all classes in the same bins.

    Every pair of a sample and a class is one event, which has its probability and is true or not; classes are not told
    apart, so errors of opposite sign in different classes cancel. Bins count by their share of the N C pairs.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins; with ``"adaptive"`` the most there may be.
        binning: ``"width"``, ``"mass"`` or ``"adaptive"``, as in `calibration_error`, over all N C probabilities.
        norm: ``"l1"``, ``"l2"`` or ``"max"``.
        debias: whether to correct for the size of the set as if the pairs were independent; not defined for ``"max"``.

    Returns:
        0 to 1; at most 2 / C for ``"l1"``. Counted per sample instead of per pair it is C times that.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option does not exist.

    Source: Liu et al., Full-ECE: a metric for token-level calibration on large language models, 2024.

    Example:
        >>> full_calibration_error([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        0.25
    """
    p, y = checked(probs, labels)
    if binning == "width":
        every = bins_per_class(p, y, bins, binning)
        pooled = Bins(every.count.sum(axis=0), every.confidence.sum(axis=0), every.correct.sum(axis=0))
    else:
        true = np.zeros(p.shape, dtype=bool)
        true[np.arange(len(p)), y] = True
        pooled = binned(p.ravel().astype(np.float64), true.ravel(), bins, binning)
    return error_of(pooled, norm, debias)


def bins_per_class(p: Array, y: Int64, bins: int, binning: str) -> Bins:
    """Sum checked probabilities [N, C] and labels int64 [N] per class and bin.

    Args:
        p: float32 or float64 [N, C].
        y: int64 [N].
        bins: how many per class.
        binning: ``"width"``, ``"mass"`` or ``"adaptive"``.

    Returns:
        The sums [C, bins].

    Raises:
        InputError: if an option does not exist.
    """
    if binning == "width":
        return _of_equal_width(p, y, bin_edges(np.zeros(0), bins))
    rows = []
    for start in range(0, p.shape[1], COLUMNS):
        columns = p[:, start : start + COLUMNS].T.astype(np.float64)
        rows += [binned(column, y == start + c, bins, binning) for c, column in enumerate(columns)]
    return Bins(*(np.stack([getattr(row, name) for row in rows]) for name in ("count", "confidence", "correct")))


def _of_equal_width(p: Array, y: Int64, edges: Float64) -> Bins:
    """Fill the bins of all classes; what lies in the first bin, most of it, is what the others leave of the whole."""
    (samples, classes), bins = p.shape, len(edges) - 1
    count, confidence, whole = np.zeros(classes * bins), np.zeros(classes * bins), np.zeros(classes)
    first = _rounded_down(edges[1], p.dtype) if bins > 1 else np.inf
    step = max(1, VALUES // classes)
    for start in range(0, samples, step):
        block = p[start : start + step]
        row, column = np.nonzero(block > first)
        values = block[row, column].astype(np.float64)
        index = column * bins + assign(values, edges)
        count += np.bincount(index, minlength=len(count))
        confidence += np.bincount(index, values, len(confidence))
        whole += np.ones(len(block)) @ block.astype(np.float64, copy=False)
    count, confidence = count.reshape(classes, bins), confidence.reshape(classes, bins)
    count[:, 0] = samples - count.sum(axis=1)
    confidence[:, 0] = np.maximum(whole - confidence.sum(axis=1), 0)  # rounding may leave a little less than nothing
    of_label = p[np.arange(samples), y].astype(np.float64)
    correct = np.bincount(y * bins + assign(of_label, edges), minlength=classes * bins).astype(np.float64)
    return Bins(count, confidence, correct.reshape(classes, bins))


def _rounded_down(edge: float, dtype: Any) -> Any:
    """Find the largest number of a precision that is at most `edge`: comparing with it is comparing with the edge."""
    rounded = np.asarray(edge).astype(dtype)[()]
    return rounded if float(rounded) <= edge else np.nextafter(rounded, dtype.type(0))
