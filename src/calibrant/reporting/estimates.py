"""Values with 95 % intervals, and the comparisons on which the report's sentences rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Units = npt.NDArray[np.generic] | None
REPLICATES = 1000


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    Args:
        value: the value.
        low: lower end; NaN where there is no interval (a single unit, or an infinite value).
        high: upper end.

    Example:
        >>> Estimate(0.1, 0.02, 0.2).sign, Estimate(0.1, -0.02, 0.2).sign
        (1, 0)
    """

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, low: float | None, high: float | None) -> Estimate:
        """Take what `calibrant.metrics.summary_with_intervals` gives, where ends may be missing."""
        missing = float("nan")
        return cls(value, missing if low is None else low, missing if high is None else high)

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies above or below zero, otherwise 0: nothing may be claimed."""
        return 1 if self.low > 0 else -1 if self.high < 0 else 0


def mean_estimate(values: npt.NDArray[np.floating | np.bool_], units: Units) -> Estimate:
    """Estimate a mean over images, resampling whole units.

    Args:
        values: [N], one value per image: right or wrong, or a paired difference between two models.
        units: [N] unit of independence, or None where every image counts for itself.

    Returns:
        The mean with its bootstrap interval.

    Example:
        >>> mean_estimate(np.ones(50), None)
        Estimate(value=1.0, low=1.0, high=1.0)
    """
    sums, sizes = _unit_sums(np.asarray(values, dtype=np.float64)[:, None], units)
    resampled_sums, resampled_sizes = _resample(sums, sizes)
    low, high = np.quantile(resampled_sums[:, 0] / resampled_sizes, (0.025, 0.975))
    return Estimate(float(sums.sum() / sizes.sum()), float(low), float(high))


def share_estimate(correct: npt.NDArray[np.bool_], units: Units) -> Estimate:
    """Estimate a share of few images with an exact binomial interval.

    Where images of one unit agree with each other, the number of images is reduced by the design effect
    (the variance by unit over that of independent images), so the interval widens.

    Args:
        correct: bool [n], n >= 1.
        units: [n] unit of independence, or None.

    Returns:
        The share with its Clopper-Pearson interval (Biometrika 26, 1934).

    Example:
        >>> round(share_estimate(np.ones(20, dtype=bool), None).low, 3)
        0.832
    """
    from calibrant.metrics import clopper_pearson

    n, share = len(correct), float(np.mean(correct))
    effective = float(n)
    if units is not None:
        sums, sizes = _unit_sums(np.asarray(correct - share, dtype=np.float64)[:, None], units)
        by_unit, independent = float(np.sum(sums**2)), n * share * (1 - share)
        # all right or all wrong tells nothing about the spread: then a unit counts as one image
        effective = n / max(1.0, by_unit / independent) if independent > 0 else float(len(sizes))
    low, high = clopper_pearson(share * effective, effective)
    return Estimate(share, float(low), float(high))


def calibration_change(
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    correct_before: npt.NDArray[np.bool_],
    correct_after: npt.NDArray[np.bool_],
    units: Units,
    bins: int = 15,
) -> Estimate:
    """Estimate by how much the expected calibration error changes between two calibrators on the same images.

    Args:
        before: float64 [N], confidence before.
        after: float64 [N], confidence after.
        correct_before: bool [N].
        correct_after: bool [N].
        units: [N] unit of independence, or None.
        bins: number of equal-width bins.

    Returns:
        After minus before, with a paired bootstrap interval. Resampling adds noise, which raises both errors,
        but the smaller one more; the interval is therefore shifted back by the bootstrap's own bias.
    """
    table = np.hstack([_bin_gaps(before, correct_before, bins), _bin_gaps(after, correct_after, bins)])
    sums, sizes = _unit_sums(table, units)

    def change(gaps: npt.NDArray[np.float64], n: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        errors = np.abs(gaps).reshape(-1, 2, bins).sum(axis=2) / n[:, None]
        return np.asarray(errors[:, 1] - errors[:, 0])

    value = float(change(sums.sum(axis=0)[None], np.array([sizes.sum()]))[0])
    replicates = change(*_resample(sums, sizes))
    low, high = np.quantile(replicates - replicates.mean() + value, (0.025, 0.975))
    return Estimate(value, float(low), float(high))


def _bin_gaps(
    confidence: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_], bins: int
) -> npt.NDArray[np.float64]:
    """Confidence minus correctness of each image in the column of its bin (right-closed), [N, bins]."""
    gaps = np.zeros((len(confidence), bins))
    column = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps[np.arange(len(confidence)), column] = confidence - correct
    return gaps


def _unit_sums(
    values: npt.NDArray[np.float64], units: Units
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sum of the rows of each unit, [U, k], and number of rows of each unit, [U]."""
    if units is None:
        return values, np.ones(len(values))
    _, index = np.unique(units, return_inverse=True)
    sums = np.zeros((index.max() + 1, values.shape[1]))
    np.add.at(sums, index, values)
    return sums, np.bincount(index).astype(np.float64)


def _resample(
    sums: npt.NDArray[np.float64], sizes: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Sums [R, k] and sizes [R] of redrawn units; the same draws for the same number of units."""
    units = len(sizes)
    generator = np.random.default_rng(units)
    drawn_sums, drawn_sizes = [], []
    rows = max(1, 4_000_000 // units)  # a table of all draws would not fit in memory for 100,000 images
    for start in range(0, REPLICATES, rows):
        size = min(rows, REPLICATES - start)
        weights = generator.multinomial(units, np.full(units, 1 / units), size=size).astype(np.float64)
        drawn_sums.append(weights @ sums)
        drawn_sizes.append(weights @ sizes)
    return np.concatenate(drawn_sums), np.concatenate(drawn_sizes)
