"""Redrawing the units of independence, and what the sums of every metric become each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_array
from calibrant.errors import InputError
from calibrant.metrics.binning import Bins, assign
from calibrant.metrics.ranking import Ranking, Tally
from calibrant.metrics.scores import Scores

DRAWS_AT_ONCE = 1_000_000  # of units; all draws of a large set would not fit in memory
RANKED_AT_ONCE = 2**16  # of samples, so that what is computed of them stays in the processor's cache


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


def redraw(table: Float64, unit: Int64, resamples: int, seed: int) -> Float64:
    """Redraw the units with replacement and sum what belongs to them.

    Args:
        table: float64 [N, k], what is summed.
        unit: int64 [N], the unit of each sample.
        resamples: R.
        seed: of the draws, see `draws`.

    Returns:
        float64 [R, k], the sums over R redrawn sets; every sample counts as often as its unit was drawn.

    Example:
        >>> redraw(np.ones((6, 1)), np.array([0, 0, 1, 1, 2, 2]), 2, seed=0)
        array([[6.],
               [6.]])
    """
    many = int(unit.max()) + 1
    of_unit = table if many == len(table) and (unit == np.arange(many)).all() else _summed(table, unit, many)
    with np.errstate(invalid="ignore"):  # an infinite likelihood that is drawn 0 times
        return np.concatenate([times @ of_unit for times in draws(many, resamples, seed)])


def redraw_order(
    ranking: Ranking,
    unit: Int64,
    resamples: int,
    seed: int,
    measure: Callable[[Tally], Mapping[str, Float64]],
) -> dict[str, Float64]:
    """Redraw the units with replacement and measure the order of the samples each time.

    Args:
        ranking: of the N samples.
        unit: int64 [N], the unit of each sample.
        resamples: R.
        seed: of the draws; with the same one they are those of `redraw`.
        measure: turns the counts of R redrawn sets, [R, G], into named values [R].

    Returns:
        Name to values [R].

    Example:
        >>> from calibrant.metrics.ranking import area_under_roc, rank
        >>> ranking = rank(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, True, False, False]))
        >>> redraw_order(ranking, np.array([0, 1, 0, 1]), 2, 0, lambda tally: {"auroc": area_under_roc(tally)})
        {'auroc': array([1., 1.])}
    """
    of_units = replace(ranking, order=unit[ranking.order])
    rows = max(1, RANKED_AT_ONCE // len(unit))
    found = [
        measure(of_units.tally(times[start : start + rows]))
        for times in draws(int(unit.max()) + 1, resamples, seed)
        for start in range(0, len(times), rows)
    ]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def draws(units: int, resamples: int, seed: int) -> Iterator[Float64]:
    """Redraw units with replacement: the only bootstrap there is, in blocks that fit in memory.

    Args:
        units: how many there are.
        resamples: R.
        seed: of the draws, which depend on it and on the number of units only.

    Yields:
        float64 [r, units], how often each was drawn in r redrawn sets, R of them altogether.

    Example:
        >>> [block.sum(axis=1) for block in draws(3, 2, seed=0)]
        [array([3., 3.])]
    """
    generator = np.random.default_rng(seed)
    rows = max(1, DRAWS_AT_ONCE // units)
    for start in range(0, resamples, rows):
        drawn = generator.integers(0, units, (min(rows, resamples - start), units))
        drawn += units * np.arange(len(drawn))[:, None]
        times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(len(drawn), units)
        yield times.astype(np.float64)


def _summed(table: Float64, unit: Int64, many: int) -> Float64:
    return np.stack([np.bincount(unit, column, many) for column in table.T], axis=1)


def bin_table(index: Int64, bins: int, confidence: Float64, correct: Array) -> Float64:
    """Lay samples out so that sums over them are `Bins`.

    Args:
        index: int64 [N], the bin of each sample.
        bins: how many bins there are.
        confidence: float64 [N].
        correct: bool [N].

    Returns:
        float64 [N, 3 bins]: 1, confidence and correctness in the columns of the sample's bin.
    """
    table = np.zeros((len(index), 3, bins))
    table[np.arange(len(index)), :, index] = np.stack([np.ones(len(index)), confidence, correct], axis=1)
    return table.reshape(len(index), 3 * bins)


def bins_of(sums: Float64) -> Bins:
    """Read sums over rows of a `bin_table`, [..., 3 bins], as bins [..., bins]."""
    count, confidence, correct = np.split(sums, 3, axis=-1)
    return Bins(count, confidence, correct)


def bootstrap(scores: Scores, edges: Float64, unit: Int64, resamples: int, seed: int) -> Replicates:
    """Sum up everything the metrics need in redrawn sets.

    Args:
        scores: of N samples.
        edges: float64 [bins + 1], kept fixed.
        unit: int64 [N], the unit of each sample.
        resamples: R.
        seed: of the draws.

    Returns:
        What the R redrawn sets sum up to.
    """
    bins = len(edges) - 1
    binned = bin_table(assign(scores.confidence, edges), bins, scores.confidence, scores.correct)
    sums = redraw(np.column_stack([binned, scores.nll, scores.brier]), unit, resamples, seed)
    drawn = bins_of(sums[:, : 3 * bins])
    total = drawn.count.sum(axis=1)
    return Replicates(sums[:, -2] / total, sums[:, -1] / total, drawn)


def percentiles(values: Float64, level: float) -> tuple[float, float] | None:
    """Cut equal tails off replicates [R]; None if one of them is infinite.

    Example:
        >>> percentiles(np.arange(101.0), 0.9)
        (5.0, 95.0)
    """
    if not np.isfinite(values).all():
        return None
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
