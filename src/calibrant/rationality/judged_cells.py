"""PT and IR from what people judged, where there are no masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.metrics import Estimate
from calibrant.metrics.binomial import effective_counts
from calibrant.metrics.bootstrap import unit_index
from calibrant.metrics.intervals import check_options
from calibrant.rationality.cells import measures_of
from calibrant.rationality.choosing import checked_answers, review_weights
from calibrant.rationality.judgements import Judgements

PRIOR = 0.5  # of every word, Jeffreys' choice: its intervals keep their level, also where all say the same


def judged_summary(
    judgements: Judgements,
    correct: Any,
    *,
    evidence: Any = None,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> dict[str, Any]:
    """Estimate the four cells, PT and IR of a whole set from the images that people judged.

    Right and wrong answers are judged in unequal shares, so each judged image counts by `review_weights`. Where several
    people judged an image, its evidence is as valid as the share of those who could tell says. "Cannot tell" is
    undefined: counted, but neither valid nor invalid.

    Args:
        judgements: of images drawn by `choose_for_review`, or of the first images of its order.
        correct: bool [N], whether the model answered rightly, of all images.
        evidence: bool [N]; images without evidence are counted as such, and stand in no cell. None: all have it.
        units: one value [N] per image, equal for images that depend on each other; None if none do.
        level: of the intervals: middle of the distribution of each value given the judgements, with Jeffreys' prior on
            what is said of right and of wrong answers and on the accuracy. They speak of images like these; that
            people are wrong, or disagree, is not in them.
        resamples: draws from that distribution.
        seed: of the draws.

    Returns:
        ``RR``, ``RW``, ``WR``, ``WW`` (share of images with a judgement, first letter the answer, second the evidence),
        ``PT``, ``IR``, ``accuracy``, ``valid``, ``PT_minus_valid``, ``IR_minus_accuracy``, ``odds_ratio`` and
        ``undefined`` (share of images of which people cannot tell) as `Estimate`; ``judged_right`` and ``judged_wrong``
        (how many images), ``weight_right`` and ``weight_wrong`` (how many each stands for) and ``no_evidence`` (images)
        as numbers. NaN where nothing is known, as IR is if no wrong answer was judged.

    Raises:
        InputError: if a judged image has no evidence or is not among the N, lengths differ, or an option is out of
            range.

    Source: PT and IR as Wang et al., Beyond Accuracy: On the Effects of Fine-tuning Towards Vision-Language Model's
    Prediction Rationality, 2024; Jeffreys' interval as Brown, Cai and DasGupta, Interval estimation for a binomial
    proportion, 2001.

    Example:
        >>> said = Judgements(np.array([0, 1, 2, 8, 9]), np.array([0, 0, 1, 0, 1]), ["Ann"] * 5)
        >>> found = judged_summary(said, [True] * 8 + [False] * 2)
        >>> round(found["PT"].value, 3), round(found["IR"].value, 3)
        (0.667, 0.842)
    """
    check_options(level, resamples)
    right, shown = checked_answers(correct, evidence)
    images = judgements.images
    weights = review_weights(right, images, evidence=shown)
    kind = right[images].astype(np.int64)  # 0 wrong, 1 right
    said = _said(judgements)
    sizes = np.bincount(right[shown], minlength=2).astype(np.float64)
    judged = np.bincount(kind, minlength=2)
    whole = _by_kind(said * weights[:, None], kind)
    whole[(judged == 0) & (sizes > 0)] = np.nan
    unit, _ = unit_index(units, len(right))
    shares = _drawn_accuracy(right[shown], unit[shown], resamples, seed)
    drawn = shares[..., None] * _drawn_words(said, kind, unit[images], resamples, seed + 1)
    values, redrawn = measures_of(whole), measures_of(drawn)
    estimates = {name: _estimate(float(values[name]), redrawn[name], level) for name in values}
    stands_for = sizes / np.where(judged > 0, judged, np.nan)
    counts = {"judged_right": int(judged[1]), "judged_wrong": int(judged[0])}
    stated = {"weight_right": float(stands_for[1]), "weight_wrong": float(stands_for[0])}
    return {**estimates, **counts, **stated, "no_evidence": int((~shown).sum())}


def _said(judgements: Judgements) -> Float64:
    """Lay out how far each judged image is valid, invalid and undefined, [n, 3]; rows sum to 1."""
    valid = judgements.valid
    told = ~np.isnan(valid)
    on = np.where(told, valid, 0.0)
    return np.stack([on, told - on, (~told).astype(np.float64)], axis=1)


def _by_kind(said: Float64, kind: Int64) -> Float64:
    return np.stack([np.bincount(kind, column, 2) for column in said.T], axis=1)


def _drawn_accuracy(right: Array, unit: Int64, resamples: int, seed: int) -> Float64:
    """Draw the shares of wrong and right answers, [R, 2]."""
    effective = effective_counts(right, np.zeros(len(right), dtype=np.int64), 1, unit)[0]
    counts = np.array([(~right).mean(), right.mean()]) * effective
    return np.random.default_rng(seed).dirichlet(counts + PRIOR, resamples)


def _drawn_words(said: Float64, kind: Int64, unit: Int64, resamples: int, seed: int) -> Float64:
    """Draw the shares of what is said of wrong and of right answers, [R, 2, 3]."""
    generator = np.random.default_rng(seed)
    told = said[:, 2] == 0
    effective = effective_counts(said[told, 0], kind[told], 2, unit[told])
    many = np.bincount(kind[told], minlength=2)
    counts = _by_kind(said, kind) * np.where(many > 0, effective / np.maximum(many, 1), 1.0)[:, None]
    return np.stack([generator.dirichlet(row + PRIOR, resamples) for row in counts], axis=1)


def _estimate(value: float, drawn: Array, level: float) -> Estimate:
    if np.isnan(value):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, min(float(low), value), max(float(high), value))  # all or none: the end is the value
