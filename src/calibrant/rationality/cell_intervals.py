"""How sure PT, IR and their relatives are, and by how much two models differ in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Float64
from calibrant.errors import InputError
from calibrant.metrics import Estimate
from calibrant.metrics.binomial import share
from calibrant.metrics.bootstrap import percentiles, redraw, unit_index
from calibrant.metrics.intervals import check_options
from calibrant.rationality.cells import THRESHOLD, cell_table, checked, counts_of, inside_of, measures_of
from calibrant.rationality.heat_maps import Bool

REDRAWN = ("PT_minus_valid", "IR_minus_accuracy", "odds_ratio")
"""Measures that are no share of something: only redrawing the images says how sure they are."""


def summary_with_intervals(
    correct: Any,
    relevance_mass: Any,
    *,
    threshold: float = THRESHOLD,
    outside: Any = None,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure what `summary` does, each with its interval.

    Shares, PT and IR among them, have the exact binomial interval of `calibrant.metrics.share`, which is honest also
    where all evidence is valid; differences and the odds ratio that of redrawn units.

    Args:
        correct: bool [N].
        relevance_mass: float [N]; NaN where there is no evidence.
        threshold: from which mass on evidence is valid.
        outside: bool [N], images to leave out, as for `summary`.
        units: one value [N] per image, equal for images that depend on each other (a drawing, a patient); None if all
            are independent.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        The measures of `summary` as `Estimate`, whose ends are NaN where there is no interval: without a denominator,
        or where no redrawn set changes the value or one has none; ``n``, ``no_evidence``, ``outside`` and
        ``threshold`` as numbers.

    Raises:
        InputError: as for `summary`, or if an option is out of range.

    Example:
        >>> found = summary_with_intervals([True] * 30 + [False] * 10, [0.9] * 25 + [0.1] * 10 + [0.8] * 5)
        >>> round(found["PT"].value, 2), round(found["PT"].low, 2), round(found["PT"].high, 2)
        (0.83, 0.65, 0.94)
    """
    check_options(level, resamples)
    right, mass = checked(correct, relevance_mass, threshold)
    inside = inside_of(outside, len(mass))
    counts = counts_of(mass, inside, threshold)
    right, mass, units = right[inside], mass[inside], _units_of(units, inside)
    unit, many = unit_index(units, len(mass))
    table = cell_table(right, mass, threshold)
    found = _shares(right, mass, threshold, units, level)
    values = measures_of(table.sum(axis=0))
    drawn = measures_of(_redrawn(table[..., None], unit, resamples, seed)[..., 0]) if many > 1 else None
    for name in REDRAWN:
        found[name] = _estimate(float(values[name]), None if drawn is None else drawn[name], level)
    return {**{name: found[name] for name in values}, **counts}


def summary_difference(
    before: tuple[Any, Any],
    after: tuple[Any, Any],
    *,
    threshold: float = THRESHOLD,
    outside: Any = None,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Estimate by how much two models differ in every measure on the same images.

    Maps of both must be made in the same way; `same_settings` says so. Each model is measured on the images of which
    its own maps hold evidence.

    Args:
        before: whether one model is right, bool [N], and its relevance mass, float [N].
        after: the same of the other model.
        threshold: from which mass on evidence is valid.
        outside: bool [N], images to leave out, as for `summary`.
        units: one value [N] per image, equal for images that depend on each other; None if all are independent.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        After minus before for every measure of `summary` but the odds ratio, with paired percentile intervals; their
        ends are NaN where no redrawn set changes the difference, or one has none.

    Raises:
        InputError: as for `summary`, or if the two do not have as many images.

    Example:
        >>> right, blind, seeing = [True, False] * 20, [0.4, 0.6] * 20, [0.9, 0.2] * 20
        >>> summary_difference((right, blind), (right, seeing))["PT"].value
        1.0
    """
    check_options(level, resamples)
    (one, first), (other, second) = (checked(*model, threshold) for model in (before, after))
    if len(one) != len(other):
        raise InputError(f"a paired difference needs the same images, not {len(one)} and {len(other)}")
    inside = inside_of(outside, len(one))
    unit, many = unit_index(_units_of(units, inside), int(inside.sum()))
    tables = np.stack([cell_table(one, first, threshold), cell_table(other, second, threshold)], axis=-1)[inside]
    values = _difference(tables.sum(axis=0))
    drawn = _difference(_redrawn(tables, unit, resamples, seed)) if many > 1 else None
    return {
        name: _estimate(float(value), None if drawn is None else drawn[name], level) for name, value in values.items()
    }


def _units_of(units: Any, inside: Bool) -> Any:
    """Number the units of the images that are left; None if all images are independent."""
    return None if units is None else unit_index(units, len(inside))[0][inside]


def _shares(right: Bool, mass: Float64, threshold: float, units: Any, level: float) -> dict[str, Estimate]:
    known = ~np.isnan(mass)
    valid = known & (mass >= threshold)
    everything = np.ones(len(mass), dtype=bool)
    of = {
        "RR": (right & valid, known),
        "RW": (right & ~valid, known),
        "WR": (~right & valid, known),
        "WW": (~right & ~valid, known),
        "undefined": (~known, everything),
        "PT": (valid, known & right),
        "IR": (right, valid),
        "accuracy": (right, known),
        "valid": (valid, known),
    }
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    return {
        name: share(part[whole], None if units is None else units[whole], level) if whole.any() else nothing
        for name, (part, whole) in of.items()
    }


def _redrawn(tables: Float64, unit: Any, resamples: int, seed: int) -> Float64:
    """Sum cells [N, 2, 3, M] of M models over redrawn sets: [R, 2, 3, M]."""
    sums = redraw(tables.reshape(len(tables), -1), unit, resamples, seed)
    return sums.reshape(len(sums), *tables.shape[1:])


def _difference(cells: Float64) -> dict[str, Float64]:
    """Subtract the measures of the first model from those of the second, [..., 2, 3, 2]."""
    first, second = measures_of(cells[..., 0]), measures_of(cells[..., 1])
    return {name: second[name] - first[name] for name in first if name != "odds_ratio"}


def _estimate(value: float, drawn: Float64 | None, level: float) -> Estimate:
    # where every redrawn set gives the same, nothing is known of the spread: one more image may change it
    ends = None if drawn is None or np.ptp(drawn) == 0 else percentiles(drawn, level)
    return Estimate(value, *(ends or (float("nan"), float("nan"))))
