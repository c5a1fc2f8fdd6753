"""Differences between two models or calibrators on the same images."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Float64, Int64, as_floats
from calibrant.errors import InputError
from calibrant.metrics.binning import Binning, assign, bin_edges
from calibrant.metrics.binomial import share
from calibrant.metrics.bootstrap import bin_table, bins_of, percentiles, redraw, unit_index
from calibrant.metrics.calibration import plain_l1
from calibrant.metrics.estimate import Estimate
from calibrant.metrics.scores import Scores


def paired_difference(
    before: Any,
    after: Any,
    *,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimate by how much the mean of a value per sample differs, sample by sample.

    Args:
        before: [N], such as whether one model is right.
        after: [N], the same of the other model.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws; with the same seed they are those of every other interval of these samples.

    Returns:
        The mean of after minus before with its percentile interval.

    Raises:
        InputError: if the lengths differ.

    Example:
        >>> paired_difference([False] * 50, [True] * 50)
        Estimate(value=1.0, low=1.0, high=1.0)
    """
    first, second = (as_floats(np.asarray(one, dtype=np.float64), "values", (None,)) for one in (before, after))
    if first.shape != second.shape:
        raise InputError(f"a paired difference needs the same samples, not {len(first)} and {len(second)}")
    difference = second - first
    unit, many = unit_index(units, len(difference))
    value = float(difference.mean())
    if many < 2:
        return Estimate(value, float("nan"), float("nan"))
    drawn = redraw(np.stack([difference, np.ones(len(difference))], axis=1), unit, resamples, seed)
    return _estimate(value, drawn[:, 0] / drawn[:, 1], level)


def ece_difference(
    before: Scores,
    after: Scores,
    *,
    bins: int = 15,
    binning: Binning = "width",
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Estimate:
    """Estimate by how much the expected calibration error differs between two calibrators on the same samples.

    Args:
        before: of N samples.
        after: of the same samples.
        bins: how many bins.
        binning: ``"width"`` or ``"mass"``; the edges stay as they are in the whole set.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        After minus before, with a paired bootstrap interval. Redrawing adds noise, which raises both errors, but
        the smaller one more; the interval is therefore shifted back by the bootstrap's own bias. Answers that are all
        right, or all wrong, stay so in every redrawn set, which shows nothing of their noise: there the interval is
        wider on both sides by as much as the true share of right answers may differ (Clopper-Pearson), since an ECE
        moves by no more than that.

    Raises:
        InputError: if the lengths differ.

    Example:
        >>> nothing, right = np.zeros(20), np.ones(20, dtype=bool)
        >>> modest, bold = (Scores(np.full(20, sure), right, nothing, nothing) for sure in (0.9, 0.99))
        >>> change = ece_difference(modest, bold)  # 20 right answers do not tell 90 % from 99 %
        >>> round(change.value, 2), round(change.low, 2), round(change.high, 2), change.sign
        (-0.09, -0.43, 0.25, 0)
    """
    if len(before) != len(after):
        raise InputError(f"a paired difference needs the same samples, not {len(before)} and {len(after)}")
    unit, many = unit_index(units, len(before))
    table = np.hstack([_table(scores, bins, binning) for scores in (before, after)])
    width = table.shape[1] // 2

    def change(sums: Float64) -> Float64:
        first, second = (plain_l1(bins_of(half)) for half in (sums[..., :width], sums[..., width:]))
        return np.asarray(second - first)

    value = float(change(table.sum(axis=0)))
    if many < 2:
        return Estimate(value, float("nan"), float("nan"))
    replicates = change(redraw(table, unit, resamples, seed))
    found = _estimate(value, replicates - replicates.mean() + value, level)
    hidden = sum(_hidden_noise(scores, units, level) for scores in (before, after))
    return Estimate(value, found.low - hidden, found.high + hidden)


def confidence_gap(
    scores: Scores, *, units: Any = None, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Estimate the mean confidence minus the share of right answers; above 0 the model is too sure.

    Args:
        scores: of N samples.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        The gap with a bootstrap interval, which reaches further where all answers are right, or all wrong: the true
        share of right answers may be lower, or higher.

    Example:
        >>> nothing = np.zeros(20)
        >>> gap = confidence_gap(Scores(np.full(20, 0.9), np.ones(20, dtype=bool), nothing, nothing))
        >>> round(gap.value, 2), round(gap.low, 2), round(gap.high, 2)
        (-0.1, -0.1, 0.07)
    """
    found = paired_difference(
        scores.correct, scores.confidence, units=units, level=level, resamples=resamples, seed=seed
    )
    hidden = _hidden_noise(scores, units, level)
    right = bool(scores.correct[0])
    return Estimate(found.value, found.low - (0 if right else hidden), found.high + (hidden if right else 0))


def _hidden_noise(scores: Scores, units: Any, level: float) -> float:
    """By how much the true share of right answers may differ from the measured one where no redraw changes it."""
    if 0 < scores.correct.mean() < 1:
        return 0.0
    possible = share(scores.correct, units, level)
    return possible.high - possible.low


def _table(scores: Scores, bins: int, binning: str) -> Float64:
    index: Int64 = assign(scores.confidence, bin_edges(scores.confidence, bins, binning))
    return bin_table(index, bins, scores.confidence, scores.correct)


def _estimate(value: float, replicates: Float64, level: float) -> Estimate:
    found = percentiles(replicates, level)
    return Estimate(value, *(found or (float("nan"), float("nan"))))
