"""How far a measured value may lie from the truth: the interval of every measure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.errors import InputError, unknown
from calibrant.metrics.binning import Bins, assign, bin_edges, fill
from calibrant.metrics.binomial import effective_counts, shares
from calibrant.metrics.bootstrap import bootstrap, draws, percentiles, redraw_order, unit_index
from calibrant.metrics.ece_interval import ece_interval
from calibrant.metrics.per_class import PerClass, mean_f1, mean_recall
from calibrant.metrics.ranking import rank
from calibrant.metrics.scores import Scores, checked, scores_of
from calibrant.metrics.selective import selective

MEANS = ("nll", "brier", "mean_confidence", "signed_gap")
ORDER = ("auroc", "fpr95", "aurc", "e_aurc")
OF_CLASSES = ("balanced_accuracy", "macro_f1")
OF_SCORES = ("accuracy", "ece", "ace", "mce", *MEANS, *ORDER)
MEASURES = (*OF_SCORES, *OF_CLASSES)


class Interval(NamedTuple):
    """A confidence interval, ends included."""

    low: float
    high: float


def interval(
    probs: Any,
    labels: Any,
    measure: str = "ece",
    *,
    bins: int = 15,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Confidence interval of one measure.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        measure: ``"accuracy"``, ``"balanced_accuracy"``, ``"macro_f1"``, ``"ece"``, ``"ace"``, ``"mce"``,
            ``"signed_gap"``, ``"nll"``, ``"brier"``, ``"auroc"``, ``"fpr95"``, ``"aurc"``, ``"e_aurc"`` or
            ``"mean_confidence"``; see `definitions`.
        bins: how many bins the calibration errors have.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are
            independent.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        The interval (see `intervals_of` for its kind), or None where there is none.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or the measure does not exist.

    Example:
        >>> low, high = interval([[0.8, 0.2]] * 100, [0] * 80 + [1] * 20, "accuracy")
        >>> round(low, 2), round(high, 2)
        (0.71, 0.87)
    """
    if measure not in MEASURES:
        raise unknown("measure", measure, MEASURES)
    p, y = checked(probs, labels)
    if measure in OF_CLASSES:
        counted = Classes(p.argmax(axis=1), y, p.shape[1])
        return class_intervals_of(counted, units, level, resamples, seed)[measure]
    return intervals_of(scores_of(p, y), bins, units, level, resamples, seed, (measure,))[measure]


def intervals_of(
    scores: Scores,
    bins: int,
    units: Any,
    level: float,
    resamples: int,
    seed: int,
    measures: Collection[str] = OF_SCORES,
) -> dict[str, Interval | None]:
    """Compute the intervals of measures, all from the same redrawn sets.

    Means and measures of the order have percentile intervals, the accuracy has the exact binomial one of `share`, ECE
    and ACE that of `ece_interval`. The largest gap (MCE) rests on its smallest bins, so its ends come from exact
    intervals of the accuracy of every bin that hold together (Bonferroni).

    Args:
        scores: of N samples.
        bins: how many bins.
        units: [N] or None.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.
        measures: which, out of ``OF_SCORES``.

    Returns:
        Measure to interval; None where there are fewer than two units or a value is infinite, and for a measure of the
        order that some redrawn set does not have (without a wrong answer there is no AUROC) or that none changes.

    Raises:
        InputError: if an option is out of range.
    """
    check_options(level, resamples)
    unit, many = unit_index(units, len(scores))
    if many < 2:
        return dict.fromkeys(measures)
    found: dict[str, Interval | None] = {}
    if "accuracy" in measures:
        whole = np.zeros(len(scores), dtype=np.int64)
        found["accuracy"] = Interval(*(float(end[0]) for end in shares(scores.correct, whole, 1, unit, level)))
    edges = bin_edges(scores.confidence, bins)
    if {"ece", *MEANS} & set(measures):
        drawn = bootstrap(scores, edges, unit, resamples, seed)
        found["ece"] = _error(scores, edges, drawn.bins, unit, level, seed)
        means = (drawn.nll, drawn.brier, drawn.mean_confidence, drawn.mean_confidence - drawn.accuracy)
        found.update({name: _percentiles(values, level) for name, values in zip(MEANS, means, strict=True)})
    if "ace" in measures:
        mass = bin_edges(scores.confidence, bins, "mass")
        redrawn_mass = bootstrap(scores, mass, unit, resamples, seed).bins
        found["ace"] = _error(scores, mass, redrawn_mass, unit, level, seed)
    if "mce" in measures:
        found["mce"] = _largest_gap(scores, edges, unit, level)
    if set(ORDER) & set(measures):
        ranking = rank(scores.confidence, scores.correct)
        redrawn = redraw_order(ranking, unit, resamples, seed, selective)
        found.update({name: _spread(values, level) for name, values in redrawn.items()})
    return {name: found[name] for name in measures}


@dataclass(frozen=True, eq=False)
class Classes:
    """Answers and labels, int64 [N] each, of C classes."""

    answer: Int64
    label: Int64
    classes: int


def class_intervals_of(
    found: Classes, units: Any, level: float, resamples: int, seed: int
) -> dict[str, Interval | None]:
    """Compute the percentile intervals of balanced accuracy and macro-F1.

    Args:
        found: the answers and labels of N samples.
        units: [N] or None.
        level: confidence.
        resamples: redrawn sets; a class that one of them lacks does not count there.
        seed: of the redraws.

    Returns:
        Measure to interval; None where there are fewer than two units, or no redrawn set changes the value.

    Raises:
        InputError: if an option is out of range.
    """
    check_options(level, resamples)
    unit, many = unit_index(units, len(found.label))
    if many < 2:
        return dict.fromkeys(OF_CLASSES)
    redrawn = redraw_classes(found, unit, resamples, seed)
    return {name: _spread(values, level) for name, values in redrawn.items()}


def redraw_classes(found: Classes, unit: Int64, resamples: int, seed: int) -> dict[str, Float64]:
    """Redraw the units and compute balanced accuracy and macro-F1 each time, [R] each."""
    right = np.flatnonzero(found.answer == found.label)
    sets = []
    for times in draws(int(unit.max()) + 1, resamples, seed):
        for one in times:
            each = one[unit]
            kinds = (found.label, each), (found.answer, each), (found.label[right], each[right])
            sets.append([np.bincount(kind, weights, found.classes) for kind, weights in kinds])
    drawn = PerClass(*np.moveaxis(np.array(sets), 1, 0))
    return {"balanced_accuracy": mean_recall(drawn), "macro_f1": mean_f1(drawn)}


def check_options(level: float, resamples: int) -> None:
    """Refuse a level or a number of redrawn sets that is out of range."""
    if not 0 < level < 1:
        raise InputError(f"the level of an interval must lie between 0 and 1, not {level}")
    if resamples < 1:
        raise InputError(f"resamples must be a positive integer, not {resamples}")


def _error(scores: Scores, edges: Float64, drawn: Bins, unit: Int64, level: float, seed: int) -> Interval:
    bins = len(edges) - 1
    index = assign(scores.confidence, edges)
    per_bin = np.bincount(np.unique(unit * bins + index) % bins, minlength=bins)
    whole = fill(index, bins, scores.confidence, scores.correct)
    effective = effective_counts(scores.correct, index, bins, unit)
    return Interval(*ece_interval(whole, drawn, per_bin, effective, level, seed))


def _largest_gap(scores: Scores, edges: Float64, unit: Int64, level: float) -> Interval:
    bins = len(edges) - 1
    index = assign(scores.confidence, edges)
    sums = fill(index, bins, scores.confidence, scores.correct)
    filled = sums.count > 0
    low, high = shares(scores.correct, index, bins, unit, 1 - (1 - level) / filled.sum())
    mean = sums.confidence / np.maximum(sums.count, 1)
    nearest = np.maximum(np.maximum(low - mean, mean - high), 0)[filled]
    farthest = np.maximum(np.abs(low - mean), np.abs(high - mean))[filled]
    return Interval(float(nearest.max()), float(farthest.max()))


def _percentiles(values: Float64, level: float) -> Interval | None:
    found = percentiles(values, level)
    return None if found is None else Interval(*found)


def _spread(values: Float64, level: float) -> Interval | None:
    # where every redrawn set gives the same, nothing is known of the spread: one more wrong answer may change it
    return None if np.ptp(values) == 0 else _percentiles(values, level)
