"""Exact intervals of a share, also where samples depend on each other."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_array
from calibrant.errors import InputError
from calibrant.metrics.bootstrap import unit_index
from calibrant.metrics.estimate import Estimate


def clopper_pearson(right: Any, count: Any, level: float | Float64 = 0.95) -> tuple[Float64, Float64]:
    """Exact binomial interval of a share.

    Args:
        right: how many of them succeeded, [...]; need not be whole.
        count: how many there are, [...].
        level: confidence, one for all or one for each [...]; below 0 the ends have passed each other.

    Returns:
        Lower and upper ends, float64 [...]; NaN where `count` is 0.

    Source: Clopper and Pearson, The use of confidence or fiducial limits, 1934.

    Example:
        >>> low, high = clopper_pearson(10, 10)
        >>> round(float(low), 3), float(high)
        (0.692, 1.0)
    """
    from scipy.special import betaincinv

    k, n = np.broadcast_arrays(np.asarray(right, dtype=np.float64), np.asarray(count, dtype=np.float64))
    tail = (1 - level) / 2
    low = np.where(k > 0, betaincinv(np.maximum(k, 1e-9), np.maximum(n - k, 0) + 1, tail), 0.0)
    high = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1e-9), 1 - tail), 1.0)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def share(correct: Any, units: Any = None, level: float = 0.95) -> Estimate:
    """Estimate a share with an exact binomial interval.

    Args:
        correct: bool [n], n >= 1.
        units: one value [n] per sample, equal for samples that depend on each other; None if all are independent.
        level: confidence.

    Returns:
        The share with the Clopper-Pearson interval for the effective number of samples (`effective_counts`).

    Raises:
        InputError: if there is no sample, or the lengths differ.

    Example:
        >>> round(share([True] * 20).low, 3)
        0.832
    """
    right = as_array(correct, "correct").astype(bool)
    if right.ndim != 1 or len(right) == 0:
        raise InputError(f"a share needs one value per sample, not shape {list(right.shape)}")
    unit, _ = unit_index(units, len(right))
    low, high = shares(right, np.zeros(len(right), dtype=np.int64), 1, unit, level)
    return Estimate(float(right.mean()), float(low[0]), float(high[0]))


def shares(correct: Array, cell: Int64, cells: int, unit: Int64, level: float = 0.95) -> tuple[Float64, Float64]:
    """Exact binomial intervals of the share of right answers in each cell, such as a bin of confidence.

    Args:
        correct: bool [N].
        cell: int64 [N], the cell of each sample.
        cells: how many cells there are.
        unit: int64 [N], the unit of independence of each sample.
        level: confidence.

    Returns:
        Lower and upper ends, float64 [cells]; NaN in an empty cell.
    """
    effective = effective_counts(correct, cell, cells, unit)
    count = np.bincount(cell, minlength=cells)
    rate = np.bincount(cell, correct, cells) / np.maximum(count, 1)
    return clopper_pearson(rate * effective, effective, level)


def effective_counts(correct: Array, cell: Int64, cells: int, unit: Int64) -> Float64:
    """Count how many independent samples would tell as much about a share as these do.

    The number of samples is divided by the design effect: the variance of the share when whole units are drawn,
    over that of as many independent samples. Unlike a bootstrap the interval stays honest when every answer is
    right: then, and where there is a single unit, nothing is known of the spread, and a unit counts once.

    Args:
        correct: bool [N].
        cell: int64 [N], the cell of each sample.
        cells: how many cells there are.
        unit: int64 [N], the unit of independence of each sample.

    Returns:
        float64 [cells], at most the number of samples.

    Source: Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data, 1998.

    Example:
        >>> pairs = np.array([0, 0, 1, 1])
        >>> effective_counts(np.array([True, True, False, False]), np.zeros(4, dtype=np.int64), 1, pairs)
        array([2.])
    """
    count = np.bincount(cell, minlength=cells).astype(np.float64)
    rate = np.bincount(cell, correct, cells) / np.maximum(count, 1)
    pair, member = np.unique(cell * (int(unit.max(initial=0)) + 1) + unit, return_inverse=True)
    home = pair // (int(unit.max(initial=0)) + 1)
    by_unit = np.bincount(home, np.bincount(member, correct - rate[cell]) ** 2, cells)
    independent = count * rate * (1 - rate)
    units = np.bincount(home, minlength=cells).astype(np.float64)
    spread = (independent > 0) & (units > 1)
    return np.where(spread, count / np.maximum(1, by_unit / np.where(spread, independent, 1)), units)
