"""Agreement beyond chance: between people, and between people and relevance mass."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_array
from calibrant.errors import InputError
from calibrant.metrics import Estimate
from calibrant.metrics.bootstrap import percentiles, redraw, unit_index
from calibrant.rationality.judgements import CANNOT_TELL, OFF, ON, Judgements

MASS = "relevance mass"


@dataclass(frozen=True)
class Agreement:
    """How far two judges of the same images agree on whether the evidence lies on the object.

    Args:
        between: the names of the two.
        kappa: Cohen's kappa with its 95 % interval, over `images`; of the reviewed images, not weighted.
        same: share of `images` on which they agree.
        images: how many both judged and both could tell.
        left_out: how many both judged, but one or both could not tell.
    """

    between: tuple[str, str]
    kappa: Estimate
    same: float
    images: int
    left_out: int


def cohens_kappa(first: Any, second: Any) -> float:
    """Measure the agreement of two judges beyond chance.

    Args:
        first: bool [n], what one says.
        second: bool [n], what the other says.

    Returns:
        (observed - expected agreement) / (1 - expected agreement): 1 for full agreement, 0 for that of chance; NaN
        where both always say the same one thing, or for no image.

    Raises:
        InputError: if the lengths differ.

    Source: Cohen, A coefficient of agreement for nominal scales, 1960.

    Example:
        >>> cohens_kappa([True, True, False, False], [True, False, False, False])
        0.5
    """
    return float(_kappa(_table(first, second).sum(axis=0)))


def agreement_of_reviewers(judgements: Judgements, images: int, *, units: Any = None, seed: int = 0) -> list[Agreement]:
    """Compare every two reviewers.

    Args:
        judgements: of several people; fewer than two give no pair.
        images: N, how many images the run has.
        units: one value [N] per image, equal for images that depend on each other; None if none do.
        seed: of the redrawn sets behind the intervals.

    Returns:
        One agreement per pair of reviewers, also where they share no image.

    Example:
        >>> both = Judgements(np.array([0, 1, 0, 1]), np.array([ON, OFF, ON, OFF]), ["Ann", "Ann", "Bob", "Bob"])
        >>> agreement_of_reviewers(both, 2)[0].kappa.value
        1.0
    """
    return [
        _agreement((one, other), judgements.words_of(one, images), judgements.words_of(other, images), units, seed)
        for one, other in combinations(judgements.reviewers, 2)
    ]


def agreement_with_mass(
    judgements: Judgements, relevance_mass: Any, *, threshold: float = 0.5, units: Any = None, seed: int = 0
) -> list[Agreement]:
    """Compare every reviewer with what masks say.

    Args:
        judgements: of one or several people.
        relevance_mass: floats [N], NaN where there is no evidence or no mask; such an image counts as "cannot tell".
        threshold: relevance mass from which evidence is valid.
        units: one value [N] per image, equal for images that depend on each other; None if none do.
        seed: of the redrawn sets behind the intervals.

    Returns:
        One agreement per reviewer.

    Raises:
        InputError: if there are fewer values of relevance mass than images.

    Example:
        >>> ann = Judgements(np.array([0, 1]), np.array([ON, OFF]), ["Ann", "Ann"])
        >>> agreement_with_mass(ann, [0.9, 0.2])[0].kappa.value
        1.0
    """
    mass: Float64 = as_array(relevance_mass, "relevance_mass").astype(np.float64)
    if mass.ndim != 1 or len(mass) <= judgements.image.max(initial=-1):
        raise InputError(f"relevance_mass must have one value per image of the run, not shape {list(mass.shape)}")
    said = np.where(np.isnan(mass), CANNOT_TELL, np.where(mass >= threshold, ON, OFF)).astype(np.int64)
    return [
        _agreement((one, MASS), judgements.words_of(one, len(mass)), said, units, seed) for one in judgements.reviewers
    ]


def _agreement(between: tuple[str, str], first: Int64, second: Int64, units: Any, seed: int) -> Agreement:
    both = (first >= 0) & (second >= 0)
    told = both & (first != CANNOT_TELL) & (second != CANNOT_TELL)
    table = _table(first[told] == ON, second[told] == ON)
    unit = None if units is None else as_array(units, "units")[told]
    total = table.sum(axis=0)
    value = float(_kappa(total))
    low, high = _interval(table, unit, seed) if not np.isnan(value) else (np.nan, np.nan)
    same = float((total[0] + total[3]) / total.sum()) if total.sum() else float("nan")
    return Agreement(between, Estimate(value, low, high), same, int(told.sum()), int((both & ~told).sum()))


def _table(first: Any, second: Any) -> Float64:
    """Mark in which of the four cells (both, only the first, only the second, neither) each image lies, [n, 4]."""
    one, other = (as_array(said, "judgements").astype(bool) for said in (first, second))
    if one.shape != other.shape or one.ndim != 1:
        raise InputError(f"two judges need one value each per image, not {list(one.shape)} and {list(other.shape)}")
    return np.stack([one & other, one & ~other, ~one & other, ~one & ~other], axis=1).astype(np.float64)


def _kappa(cells: Float64) -> Array:
    """Compute kappa of counts [..., 4]."""
    both, first, second, neither = np.moveaxis(cells, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = cells.sum(axis=-1)
        observed = (both + neither) / total
        expected = ((both + first) * (both + second) + (neither + first) * (neither + second)) / total**2
        return np.asarray(np.where(expected < 1, (observed - expected) / (1 - expected), np.nan))


def _interval(table: Float64, units: Any, seed: int) -> tuple[float, float]:
    """Redraw the images; a redrawn set in which both say one thing only has no kappa and does not count."""
    unit, many = unit_index(units, len(table))
    if many < 2:
        return float("nan"), float("nan")
    drawn = _kappa(redraw(table, unit, 1000, seed))
    drawn = drawn[np.isfinite(drawn)]
    found = percentiles(drawn, 0.95) if len(drawn) and np.ptp(drawn) > 0 else None
    return (float("nan"), float("nan")) if found is None else found
