"""How far a measured value may lie from the truth: the interval of every measure."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from calibrant.arrays import Float64
from calibrant.errors import InputError, unknown
from calibrant.metrics.binning import assign, bin_edges, fill
from calibrant.metrics.binomial import shares
from calibrant.metrics.bootstrap import bootstrap, percentiles, unit_index
from calibrant.metrics.ece_interval import ece_interval
from calibrant.metrics.scores import Scores, sample_scores

MEASURES = ("accuracy", "ece", "nll", "brier", "mean_confidence")


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
        measure: ``"accuracy"``, ``"ece"``, ``"nll"``, ``"brier"`` or ``"mean_confidence"``.
        bins: how many bins of equal width the ECE has.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are
            independent.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        The interval (see `intervals_of` for its kind), or None with fewer than two units or an infinite
        value.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or the measure does not exist.

    Example:
        >>> low, high = interval([[0.8, 0.2]] * 100, [0] * 80 + [1] * 20, "accuracy")
        >>> round(low, 2), round(high, 2)
        (0.71, 0.87)
    """
    if measure not in MEASURES:
        raise unknown("measure", measure, MEASURES)
    found = intervals_of(sample_scores(probs, labels), bins, units, level, resamples, seed)
    return found[measure]


def intervals_of(
    scores: Scores, bins: int, units: Any, level: float, resamples: int, seed: int
) -> dict[str, Interval | None]:
    """Compute the intervals of all measures from one bootstrap.

    Means have percentile intervals, the accuracy has the exact binomial one of `share`, the ECE that of
    `ece_interval`.

    Args:
        scores: of N samples.
        bins: bins of equal width.
        units: [N] or None.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        Measure to interval; None where there are fewer than two units or a value is infinite.

    Raises:
        InputError: if an option is out of range.
    """
    if not 0 < level < 1:
        raise InputError(f"the level of an interval must lie between 0 and 1, not {level}")
    if resamples < 1:
        raise InputError(f"resamples must be a positive integer, not {resamples}")
    unit, many = unit_index(units, len(scores))
    edges = bin_edges(scores.confidence, bins)
    if many < 2:
        return dict.fromkeys(MEASURES)
    drawn = bootstrap(scores, edges, unit, resamples, seed)
    index = assign(scores.confidence, edges)
    whole = fill(index, bins, scores.confidence, scores.correct)
    per_bin = np.bincount(np.unique(unit * bins + index) % bins, minlength=bins)
    return {
        "accuracy": Interval(*(float(end[0]) for end in shares(scores.correct, np.zeros_like(unit), 1, unit, level))),
        "ece": Interval(*ece_interval(whole, drawn.bins, per_bin, level)),
        "nll": _percentiles(drawn.nll, level),
        "brier": _percentiles(drawn.brier, level),
        "mean_confidence": _percentiles(drawn.mean_confidence, level),
    }


def _percentiles(values: Float64, level: float) -> Interval | None:
    found = percentiles(values, level)
    return None if found is None else Interval(*found)
