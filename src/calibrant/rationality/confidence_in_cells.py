"""Calibration and rationality together: how sure a model is in each cell, and what its confidence tells apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Float64, Int64, as_floats
from calibrant.errors import InputError
from calibrant.metrics import Estimate
from calibrant.metrics.bootstrap import percentiles, redraw_order, unit_index
from calibrant.metrics.intervals import check_options, intervals_of
from calibrant.metrics.ranking import area_under_roc, rank
from calibrant.metrics.scores import Scores
from calibrant.metrics.summary import summary_of
from calibrant.rationality.cells import THRESHOLD, checked
from calibrant.rationality.heat_maps import Bool

CELLS = ("RR", "RW", "WR", "WW")


def within_cells(
    confidence: Any,
    correct: Any,
    relevance_mass: Any,
    *,
    threshold: float = THRESHOLD,
    bins: int = 15,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, Any]]:
    """Measure confidence and calibration within each of the four cells, and where evidence is valid or not.

    Within a cell all answers are right, or all are wrong: its ECE is 1 minus the mean confidence, or the mean
    confidence. What a cell adds is *how sure* its answers are. ``valid`` and ``invalid`` hold right and wrong answers,
    so that their ECEs say whether confidence can be believed where the evidence is good, and where it is not.

    Args:
        confidence: [N], 0 to 1, of the answers.
        correct: bool [N].
        relevance_mass: float [N]; NaN where there is no evidence.
        threshold: from which mass on evidence is valid.
        bins: how many bins of equal width the ECE has.
        units: one value [N] per image, equal for images that depend on each other; None if all are independent.
        level: confidence of the intervals.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        For ``RR``, ``RW``, ``WR``, ``WW``, ``valid``, ``invalid``, ``undefined`` and ``all`` images: ``n``, and as
        `Estimate` ``accuracy``, ``mean_confidence`` and ``ece``; NaN where there is no image.

    Raises:
        InputError: as for `summary`, or if a confidence is no probability.

    Example:
        >>> found = within_cells([0.9, 0.7, 0.6], [True, True, False], [0.8, 0.2, 0.1], resamples=10)
        >>> found["RW"]["n"], found["RW"]["mean_confidence"].value, round(found["RW"]["ece"].value, 2)
        (1, 0.7, 0.3)
    """
    check_options(level, resamples)
    right, mass = checked(correct, relevance_mass, threshold)
    sure = as_confidence(confidence, len(right))
    unit, _ = unit_index(units, len(right))
    own = None if units is None else unit
    found = {
        name: _measured(sure[here], right[here], None if own is None else own[here], bins, level, resamples, seed)
        for name, here in _groups(right, mass, threshold).items()
    }
    return {name: _certain(group, name) if name in CELLS else group for name, group in found.items()}


def right_reason_auroc(
    confidence: Any,
    correct: Any,
    relevance_mass: Any,
    *,
    threshold: float = THRESHOLD,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Say how well confidence finds the answers that are right for the right reason.

    Args:
        confidence: [N], of the answers, or any other score: only its order counts.
        correct: bool [N].
        relevance_mass: float [N]; NaN where there is no evidence: such images are left out.
        threshold: from which mass on evidence is valid.
        units: one value [N] per image, equal for images that depend on each other; None if all are independent.
        level: confidence of the intervals.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        AUROC with its interval, 0.5 where confidence tells nothing: ``right_reason`` (RR against all others),
        ``answer`` (right against wrong answers) and ``reason_of_right`` (RR against RW: does confidence flag the right
        answers that rest on something else?). NaN where one side is empty.

    Raises:
        InputError: as for `summary`, or if the confidence is not one finite number per image.

    Example:
        >>> found = right_reason_auroc([0.9, 0.7, 0.6], [True, True, False], [0.8, 0.2, 0.1], resamples=10)
        >>> found["right_reason"].value, found["reason_of_right"].value
        (1.0, 1.0)
    """
    check_options(level, resamples)
    right, mass = checked(correct, relevance_mass, threshold)
    score = as_floats(confidence, "confidence", (len(right),)).astype(np.float64)
    unit, _ = unit_index(units, len(right))
    valid = mass >= threshold
    known = ~np.isnan(mass)
    pairs = {
        "right_reason": (right & valid, known),
        "answer": (right, known),
        "reason_of_right": (valid, known & right),
    }
    return {
        name: _auroc(score[here], positive[here], unit[here], level, resamples, seed)
        for name, (positive, here) in pairs.items()
    }


def as_confidence(value: Any, images: int) -> Float64:
    """Turn a value into one probability per image, float64 [N], or say what is wrong with it."""
    sure = as_floats(value, "confidence", (images,)).astype(np.float64)
    if ((sure < 0) | (sure > 1 + 1e-6)).any():
        raise InputError("a confidence is a probability from 0 to 1")
    return np.minimum(sure, 1.0)


def _groups(right: Bool, mass: Float64, threshold: float) -> dict[str, Bool]:
    known = ~np.isnan(mass)
    valid = known & (mass >= threshold)
    invalid = known & ~valid
    return {
        "RR": right & valid,
        "RW": right & invalid,
        "WR": ~right & valid,
        "WW": ~right & invalid,
        "valid": valid,
        "invalid": invalid,
        "undefined": ~known,
        "all": np.ones(len(mass), dtype=bool),
    }


def _measured(
    sure: Float64, right: Bool, units: Any, bins: int, level: float, resamples: int, seed: int
) -> dict[str, Any]:
    names = ("accuracy", "mean_confidence", "ece")
    if len(sure) == 0:
        return {"n": 0, **dict.fromkeys(names, _nothing())}
    scores = Scores(sure, right, np.zeros(len(sure)), np.zeros(len(sure)))  # only confidence is known of the answers
    values = summary_of(scores, bins)
    ends = intervals_of(scores, bins, units, level, resamples, seed, names)
    return {"n": len(sure), **{name: Estimate(values[name], *(ends[name] or _nothing_known())) for name in names}}


def _certain(group: dict[str, Any], cell: str) -> dict[str, Any]:
    """Give a cell the accuracy it has by definition, and the ECE that follows from its confidence."""
    if group["n"] == 0:
        return group
    mean = group["mean_confidence"]
    if cell in ("WR", "WW"):
        return {**group, "accuracy": Estimate(0.0, 0.0, 0.0), "ece": mean}
    return {**group, "accuracy": Estimate(1.0, 1.0, 1.0), "ece": Estimate(1 - mean.value, 1 - mean.high, 1 - mean.low)}


def _auroc(score: Float64, positive: Bool, unit: Int64, level: float, resamples: int, seed: int) -> Estimate:
    if not 0 < positive.sum() < len(positive):
        return _nothing()
    ranking = rank(score, positive)
    _, unit = np.unique(unit, return_inverse=True)
    drawn = redraw_order(ranking, unit, resamples, seed, lambda tally: {"auroc": area_under_roc(tally)})["auroc"]
    ends = None if np.ptp(drawn) == 0 else percentiles(drawn, level)
    return Estimate(float(area_under_roc(ranking.tally())), *(ends or _nothing_known()))


def _nothing() -> Estimate:
    return Estimate(float("nan"), *_nothing_known())


def _nothing_known() -> tuple[float, float]:
    return float("nan"), float("nan")
