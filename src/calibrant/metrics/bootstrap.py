"""Redrawing the units of independence, and what the sums of every metric become each time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrant.arrays import Float64, Int64, as_array
from calibrant.errors import InputError
from calibrant.metrics.binning import Bins, assign, fill
from calibrant.metrics.scores import Scores


@dataclass(frozen=True, eq=False)
class Replicates:
    """Means and bins of R redrawn sets.

    Args:
        nll: float64 [R], mean negative log-likelihood.
        brier: float64 [R], mean Brier score.
        bins: sums [R, bins].
    """

    nll: Float64
    brier: Float64
    bins: Bins

    @property
    def accuracy(self) -> Float64:
        """Share of right answers in each redrawn set, [R]."""
        result: Float64 = self.bins.correct.sum(axis=1) / self.bins.count.sum(axis=1)
        return result

    @property
    def mean_confidence(self) -> Float64:
        """Mean confidence in each redrawn set, [R]."""
        result: Float64 = self.bins.confidence.sum(axis=1) / self.bins.count.sum(axis=1)
        return result


def unit_index(units: Any, samples: int) -> tuple[Int64, int]:
    """Number the units of independence.

    Args:
        units: one value per sample, equal for samples that depend on each other (a drawing, a patient);
            None if all samples are independent.
        samples: N.

    Returns:
        int64 [N], the unit of each sample, and how many units there are.

    Raises:
        InputError: if the length differs.

    Example:
        >>> unit_index(["b", "a", "b"], 3)
        (array([1, 0, 1]), 2)
    """
    if units is None:
        return np.arange(samples), samples
    array = as_array(units, "units")
    if array.shape != (samples,):
        raise InputError(f"there are {samples} samples but the units have shape {list(array.shape)}")
    names, index = np.unique(array, return_inverse=True)
    return index.astype(np.int64, copy=False), len(names)


def bootstrap(scores: Scores, edges: Float64, unit: Int64, resamples: int, seed: int) -> Replicates:
    """Redraw the units with replacement; every sample counts as often as its unit was drawn.

    Args:
        scores: of N samples.
        edges: float64 [bins + 1], kept fixed.
        unit: int64 [N], the unit of each sample.
        resamples: R.
        seed: of the draws.

    Returns:
        What the R redrawn sets sum up to.
    """
    generator = np.random.default_rng(seed)
    bins, many = len(edges) - 1, int(unit.max()) + 1
    index = assign(scores.confidence, edges)
    sums = np.empty((3, resamples, bins))
    means = np.empty((2, resamples))
    for draw in range(resamples):
        times = np.bincount(generator.integers(0, many, many), minlength=many)[unit].astype(np.float64)
        drawn = fill(index, bins, scores.confidence, scores.correct, times)
        sums[:, draw] = drawn.count, drawn.confidence, drawn.correct
        with np.errstate(invalid="ignore"):  # an infinite likelihood that is drawn 0 times
            means[:, draw] = np.array([times @ scores.nll, times @ scores.brier]) / times.sum()
    return Replicates(means[0], means[1], Bins(*sums))
