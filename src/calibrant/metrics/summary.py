"""All measures of one set at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from calibrant.arrays import Array, Int64
from calibrant.metrics.binning import Bins, binned
from calibrant.metrics.bootstrap import unit_index
from calibrant.metrics.calibration import error_of
from calibrant.metrics.classwise import bins_per_class
from calibrant.metrics.definitions import chosen, definitions
from calibrant.metrics.intervals import (
    OF_CLASSES,
    OF_SCORES,
    Classes,
    Interval,
    class_intervals_of,
    intervals_of,
)
from calibrant.metrics.noise_floor import floor_of, p_value_of
from calibrant.metrics.overconfidence import split_of
from calibrant.metrics.per_class import count_classes, mean_f1, mean_recall
from calibrant.metrics.scores import Scores, checked, scores_of
from calibrant.metrics.selective import selective_of

OF_TABLE = (*OF_CLASSES, "classwise_ece")  # need more of [N, C] than its scores


class Measured(TypedDict):
    """A value with its interval and its definition; the ends are None where there is no interval.

    The ECE also has the p-value of `calibration_p_value`, unless intervals are left out.
    """

    value: float
    low: float | None
    high: float | None
    definition: str
    p_value: NotRequired[float]


def summary(probs: Any, labels: Any, *, bins: int = 15, measures: Sequence[str] | None = None) -> dict[str, float]:
    """Measure accuracy and calibration.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins the calibration errors have.
        measures: which; by default all that `definitions` lists.

    Returns:
        Measure to value, in the order of `definitions`, which says what each is. ``auroc`` and ``fpr95`` are NaN where
        all answers are right or all are wrong.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or there is no measure of a name.

    Example:
        >>> round(summary([[0.9, 0.1], [0.9, 0.1]], [0, 1])["ece"], 3)
        0.4
    """
    names = chosen(measures, definitions(bins))
    p, y = checked(probs, labels)
    values = {**summary_of(scores_of(p, y), bins), **_of_table(p, y, bins, names)}
    return {name: values[name] for name in names}


def summary_with_intervals(
    probs: Any,
    labels: Any,
    *,
    bins: int = 15,
    measures: Sequence[str] | None = None,
    units: Any = None,
    level: float | None = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Measured]:
    """Measure accuracy and calibration, each with its interval and its definition.

    Both calibration errors share the interval of the true error, which is corrected for the upward bias of
    the plain ECE; with little data and a well calibrated model the plain ECE may therefore lie above its
    own interval. The parts of the ECE, its floor and the class-wise error have no interval.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins the calibration errors have.
        measures: which; by default all that `definitions` lists.
        units: one value [N] per sample, equal for samples that depend on each other (drawing, patient);
            None if all are independent.
        level: confidence of the intervals; None for none, and no p-value, which is faster.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        The measures of `summary`; JSON can hold it unless the negative log-likelihood is infinite or a value is NaN.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option is out of range.

    Example:
        >>> found = summary_with_intervals([[0.9, 0.1]] * 50, [0] * 45 + [1] * 5, resamples=100)
        >>> found["ece"]["low"], round(found["accuracy"]["high"], 2)
        (0.0, 0.97)
    """
    return measured_table(*checked(probs, labels), bins, units, level, resamples, seed, measures)


def summary_of(scores: Scores, bins: int) -> dict[str, float]:
    """Compute those measures of `summary` that need no more than scores.

    Args:
        scores: of N samples.
        bins: how many bins.

    Returns:
        Measure to value.
    """
    sums = binned(scores.confidence, scores.correct, bins, "width")
    split = split_of(sums)
    right, sure = float(scores.correct.mean()), float(scores.confidence.mean())
    return {
        "accuracy": right,
        "ece": error_of(sums),
        "ece_debiased": error_of(sums, debias=True),
        "ace": error_of(binned(scores.confidence, scores.correct, bins, "mass")),
        "mce": error_of(sums, "max"),
        "overconfidence": split.over,
        "underconfidence": split.under,
        "signed_gap": sure - right,
        "nll": float(scores.nll.mean()),
        "brier": float(scores.brier.mean()),
        **selective_of(scores.confidence, scores.correct),
        "mean_confidence": sure,
        "ece_noise_floor": floor_of(scores.confidence, bins),
    }


def measured_scores(
    scores: Scores,
    bins: int = 15,
    units: Any = None,
    level: float | None = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    measures: Sequence[str] | None = None,
) -> dict[str, Measured]:
    """Compute `summary_with_intervals` from scores, without what these do not tell.

    Args:
        scores: of N samples.
        bins: how many bins.
        units: [N] or None.
        level: confidence of the intervals; None for none.
        resamples: redrawn sets.
        seed: of the redraws.
        measures: which; by default all that scores tell.

    Returns:
        Measure to value, interval and definition.
    """
    meaning, values = definitions(bins), summary_of(scores, bins)
    names = chosen(measures, [name for name in meaning if name in values])
    found: dict[str, Interval | None] = {}
    if level is not None:
        wanted = {"ece" if name == "ece_debiased" else name for name in names} & set(OF_SCORES)
        found = intervals_of(scores, bins, units, level, resamples, seed, wanted)
        found["ece_debiased"] = found.get("ece")
    result = {name: _measured(values[name], found.get(name), meaning[name]) for name in names}
    if "ece" in names and level is not None:
        unit, _ = unit_index(units, len(scores))
        result["ece"]["p_value"] = p_value_of(scores.confidence, scores.correct, bins, "width", unit, resamples, seed)
    return result


def measured_table(
    p: Array,
    y: Int64,
    bins: int = 15,
    units: Any = None,
    level: float | None = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    measures: Sequence[str] | None = None,
) -> dict[str, Measured]:
    """Compute `summary_with_intervals` from checked probabilities [N, C] and labels int64 [N]."""
    meaning = definitions(bins)
    names = chosen(measures, meaning)
    of_scores = [name for name in names if name not in OF_TABLE]
    found = measured_scores(scores_of(p, y), bins, units, level, resamples, seed, of_scores) if of_scores else {}
    values = _of_table(p, y, bins, names)
    ends: dict[str, Interval | None] = {}
    if level is not None and set(OF_CLASSES) & set(names):
        ends = class_intervals_of(Classes(p.argmax(axis=1), y, p.shape[1]), units, level, resamples, seed)
    found.update({name: _measured(value, ends.get(name), meaning[name]) for name, value in values.items()})
    return {name: found[name] for name in names}


def _of_table(p: Array, y: Int64, bins: int, names: Sequence[str]) -> dict[str, float]:
    values: dict[str, float] = {}
    if set(OF_CLASSES) & set(names):
        counted = count_classes(p.argmax(axis=1), y, p.shape[1])
        both = {"balanced_accuracy": float(mean_recall(counted)), "macro_f1": float(mean_f1(counted))}
        values.update({name: value for name, value in both.items() if name in names})
    if "classwise_ece" in names:
        every = bins_per_class(p, y, bins, "width")
        values["classwise_ece"] = error_of(Bins(every.count.ravel(), every.confidence.ravel(), every.correct.ravel()))
    return values


def _measured(value: float, ends: Interval | None, definition: str) -> Measured:
    low, high = ends or (None, None)
    return Measured(value=value, low=low, high=high, definition=definition)
