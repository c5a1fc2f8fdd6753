"""How far two models, or two calibrators, differ in every measure on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.errors import InputError
from calibrant.metrics.binning import Binning
from calibrant.metrics.bootstrap import percentiles, redraw, redraw_order, unit_index
from calibrant.metrics.definitions import chosen, definitions
from calibrant.metrics.estimate import Estimate
from calibrant.metrics.intervals import MEANS, OF_CLASSES, ORDER, Classes, check_options, redraw_classes
from calibrant.metrics.paired import ece_difference
from calibrant.metrics.ranking import rank
from calibrant.metrics.scores import Scores, checked, scores_of
from calibrant.metrics.selective import selective
from calibrant.metrics.summary import summary

UNKNOWN = float("nan")


def compare(
    before: Any,
    after: Any,
    labels: Any,
    *,
    bins: int = 15,
    measures: Sequence[str] | None = None,
    units: Any = None,
    level: float | None = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Estimate by how much every measure differs between two models on the same samples.

    Both are measured in the same redrawn sets, so that what makes a sample hard for both cancels. Differences of means
    (accuracy, negative log-likelihood, ...), of the order (AUROC, AURC, ...) and of class means have percentile
    intervals, those of ECE and ACE the one of `ece_difference`, which the debiased ECE shares. The largest gap, the
    class-wise error, the parts of the ECE and its floor have none.

    Args:
        before: probabilities [N, C] of one model.
        after: probabilities [N, C] of the other.
        labels: class indices [N].
        bins: how many bins the calibration errors have.
        measures: which; by default all that `definitions` lists.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent.
        level: confidence of the intervals; None for none.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        Measure to after minus before; the ends are NaN where there is no interval.

    Raises:
        InputError: if the shapes differ, the rows are no probabilities, a label is no class, or an option is out of
            range.

    Example:
        >>> right, half = [[0.9, 0.1]] * 40, [[0.9, 0.1], [0.1, 0.9]] * 20
        >>> compare(half, right, [0] * 40, measures=["accuracy"])["accuracy"].sign
        1
    """
    names = chosen(measures, definitions(bins))
    first, y = checked(before, labels)
    second, _ = checked(after, labels)
    if first.shape != second.shape:
        raise InputError(f"a comparison needs the same classes, not {first.shape[1]} and {second.shape[1]}")
    old, new = (summary(p, y, bins=bins, measures=names) for p in (first, second))
    with np.errstate(invalid="ignore"):  # both may be infinite
        values = {name: float(np.subtract(new[name], old[name])) for name in names}
    ends: dict[str, tuple[float, float] | None] = {}
    if level is not None:
        check_options(level, resamples)
        unit, many = unit_index(units, len(y))
        if many > 1:
            ends = _ends((first, second), y, names, bins, unit, level, resamples, seed)
    return {name: Estimate(values[name], *(ends.get(name) or (UNKNOWN, UNKNOWN))) for name in names}


def _ends(
    tables: tuple[Array, Array],
    y: Int64,
    names: Sequence[str],
    bins: int,
    unit: Int64,
    level: float,
    resamples: int,
    seed: int,
) -> dict[str, tuple[float, float] | None]:
    old, new = (scores_of(p, y) for p in tables)
    changes: dict[str, Float64] = {}
    if {"accuracy", *MEANS} & set(names):
        changes |= _means(old, new, unit, resamples, seed)
    if set(ORDER) & set(names):
        before, after = (
            redraw_order(rank(one.confidence, one.correct), unit, resamples, seed, selective) for one in (old, new)
        )
        changes |= {name: after[name] - before[name] for name in ORDER}
    if set(OF_CLASSES) & set(names):
        before, after = (
            redraw_classes(Classes(p.argmax(axis=1), y, p.shape[1]), unit, resamples, seed) for p in tables
        )
        changes |= {name: after[name] - before[name] for name in OF_CLASSES}
    found = {name: percentiles(values, level) for name, values in changes.items()}
    kinds: tuple[tuple[Binning, tuple[str, ...]], ...] = (("width", ("ece", "ece_debiased")), ("mass", ("ace",)))
    for binning, errors in kinds:
        if set(errors) & set(names):
            one = ece_difference(
                old, new, bins=bins, binning=binning, units=unit, level=level, resamples=resamples, seed=seed
            )
            found.update(dict.fromkeys(errors, (one.low, one.high)))
    return found


def _means(old: Scores, new: Scores, unit: Int64, resamples: int, seed: int) -> dict[str, Float64]:
    sure, right = new.confidence - old.confidence, new.correct.astype(np.float64) - old.correct
    with np.errstate(invalid="ignore"):  # both may be infinite
        columns = {
            "accuracy": right,
            "nll": new.nll - old.nll,
            "brier": new.brier - old.brier,
            "mean_confidence": sure,
            "signed_gap": sure - right,
        }
    sums = redraw(np.column_stack([*columns.values(), np.ones(len(old))]), unit, resamples, seed)
    return {name: sums[:, place] / sums[:, -1] for place, name in enumerate(columns)}
