"""Scores that tell images of the classes from images of none of them, and how well they do; higher means known."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, as_floats, as_matrix, softmax
from calibrant.errors import InputError
from calibrant.metrics.bootstrap import percentiles, redraw_order, unit_index
from calibrant.metrics.intervals import check_options
from calibrant.metrics.ranking import Ranking, Tally, area_under_roc, false_positive_rate, rank
from calibrant.metrics.summary import Measured

KEPT = 0.95  # share of the known images that stay, where FPR@95 is read off
DEFINITIONS = {
    "auroc": "chance that a known image has a higher score than an unknown one, ties counting half",
    "fpr95": "share of the unknown images that pass the highest threshold that keeps 95 % of the known ones",
}


def max_softmax(logits: Any, temperature: float = 1.0) -> Float64:
    """Largest softmax probability at a temperature; of cosines at temperature 1 it is MCM.

    Args:
        logits: [N, C]; for MCM the cosines of image and class prompts, that is the logits of a CLIP-like model divided
            by its logit scale.
        temperature: above 0; the higher, the more the other classes count beside the largest one.

    Returns:
        float64 [N], from 1 / C to 1.

    Raises:
        InputError: if a logit is not finite or the temperature is not above 0.

    Source: Ming et al., Delving into out-of-distribution detection with vision-language representations, 2022.

    Example:
        >>> max_softmax([[0.3, 0.1], [0.2, 0.2]]).round(3)
        array([0.55, 0.5 ])
    """
    highest: Float64 = softmax(_matrix(logits) / _positive(temperature)).max(axis=1)
    return highest


def energy(logits: Any, temperature: float = 1.0) -> Float64:
    """Negative free energy: T log sum exp(logit / T), a smooth maximum of the logits.

    Args:
        logits: [N, C].
        temperature: T, above 0.

    Returns:
        float64 [N].

    Raises:
        InputError: if a logit is not finite or the temperature is not above 0.

    Source: Liu et al., Energy-based out-of-distribution detection, 2020 (with the sign turned).

    Example:
        >>> energy([[0.0, 0.0], [5.0, 0.0]]).round(3)
        array([0.693, 5.007])
    """
    return _positive(temperature) * _log_sum_exp(_matrix(logits) / temperature)


def class_share(logits: Any, noun_logits: Any) -> Float64:
    """Softmax mass of the classes among classes and nouns that are none of them.

    Args:
        logits: of the classes, [N, C].
        noun_logits: of nouns that name no class, [N, M], of the same images at the same scale.

    Returns:
        float64 [N], 0 to 1.

    Raises:
        InputError: if a logit is not finite, or the two are not about equally many images.

    Source: Jiang et al., Negative label guided OOD detection with pretrained vision-language models, 2024,
    without the grouping of nouns.

    Example:
        >>> class_share([[1.0, 1.0], [0.0, 0.0]], [[0.0, 1.0], [5.0, 0.0]]).round(3)
        array([0.594, 0.013])
    """
    known = _matrix(logits)
    nouns = as_floats(noun_logits, "logits of nouns", (len(known), None))
    if nouns.shape[1] == 0:
        raise InputError("there must be at least one noun to compare the classes with")
    # the logistic function of the difference of the log-masses, written so that no exponential overflows
    apart = _log_sum_exp(known) - _log_sum_exp(nouns.astype(np.float64, copy=False))
    small = np.exp(-np.abs(apart))
    return np.where(apart >= 0, 1 / (1 + small), small / (1 + small))


def unknown_summary(
    known: Any,
    unknown: Any,
    *,
    known_units: Any = None,
    unknown_units: Any = None,
    level: float | None = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Measured]:
    """Measure how well a score tells known images from unknown ones, each number with its interval and definition.

    Args:
        known: the score of images of the classes, [K]; higher means known.
        unknown: the score of images of none of the classes, [U].
        known_units: one value [K] per known image, equal for images that depend on each other; None if all are
            independent.
        unknown_units: the same of the unknown ones.
        level: confidence of the intervals; None for none.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        ``auroc`` and ``fpr95`` with percentile intervals over redrawn units; where every redrawn set gives the same,
        without an interval.

    Raises:
        InputError: if there is no known or no unknown image, a score is not finite, or an option is out of range.

    Source: Hendrycks and Gimpel, A baseline for detecting misclassified and out-of-distribution examples, 2017;
    Liang, Li and Srikant, Enhancing the reliability of out-of-distribution image detection, 2018 (FPR at 95 % TPR).

    Example:
        >>> found = unknown_summary([0.9, 0.8, 0.7], [0.75, 0.1])
        >>> round(found["auroc"]["value"], 3), found["fpr95"]["value"]
        (0.833, 0.5)
    """
    scores = [_scores(known, "known"), _scores(unknown, "unknown")]
    units = [unit_index(one, len(score))[0] for one, score in zip((known_units, unknown_units), scores, strict=True)]
    unit = np.concatenate([units[0], units[1] + units[0].max() + 1])
    positive = np.arange(len(unit)) < len(scores[0])
    ranking = rank(np.concatenate(scores).astype(np.float64), positive)
    ends: dict[str, tuple[float, float] | None] = {}
    if level is not None:
        check_options(level, resamples)
        ends = _ends(ranking, unit, level, resamples, seed)
    measured = {}
    for name, value in _told_apart(ranking.tally()).items():
        low, high = ends.get(name) or (None, None)
        measured[name] = Measured(value=float(value), low=low, high=high, definition=DEFINITIONS[name])
    return measured


def _scores(values: Any, kind: str) -> Array:
    found = as_floats(values, f"scores of {kind} images", (None,))
    if len(found) == 0:
        raise InputError(f"there is no {kind} image to tell apart")
    return found


def _ends(
    ranking: Ranking, unit: Array, level: float, resamples: int, seed: int
) -> dict[str, tuple[float, float] | None]:
    drawn = redraw_order(ranking, unit, resamples, seed, _told_apart)
    # a redrawn set without one of the kinds tells nothing
    values = {name: found[np.isfinite(found)] for name, found in drawn.items()}
    return {name: percentiles(found, level) for name, found in values.items() if len(found) and np.ptp(found) != 0}


def _told_apart(tally: Tally) -> dict[str, Float64]:
    return {"auroc": area_under_roc(tally), "fpr95": false_positive_rate(tally, KEPT)}


def _positive(temperature: float) -> float:
    if not 0 < temperature < np.inf:
        raise InputError(f"a temperature must be above 0, not {temperature}")
    return temperature


def _matrix(logits: Any) -> Float64:
    # before anything is divided, which would round in the precision of the logits
    return as_matrix(logits, "logits").astype(np.float64, copy=False)


def _log_sum_exp(values: Float64) -> Float64:
    highest = values.max(axis=1)
    return np.asarray(highest + np.log(np.exp(values - highest[:, None]).sum(axis=1)))
