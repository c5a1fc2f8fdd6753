"""Measure one set of predictions: every number with its interval, its definition and its n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.errors import InputError, unknown

if TYPE_CHECKING:
    from calibrant.arrays import Array
    from calibrant.calibration import Calibrator
    from calibrant.predictions import Predictions

INFINITE = "infinite, since at least one label has the probability 0; null in JSON"
UNDEFINED = "undefined, since there is nothing to take a share of; null in JSON"
INTERNAL = ("content",)  # columns that Calibrant fills for itself, one value per image
POSITIVE = 1  # of two classes, the one that is looked for


def measure(
    stored: Predictions,
    calibrators: Mapping[str, Calibrator | None],
    *,
    bins: int = 15,
    by: str | None = None,
    measures: Sequence[str] | None = None,
    level: float | None = 0.95,
    as_published: bool = False,
) -> list[dict[str, Any]]:
    """Measure one set of predictions with each of some calibrators.

    Samples of none of the classes (label -1) are left out and counted.

    Args:
        stored: the predictions, with labels.
        calibrators: name to calibrator; None stands for the model as it is.
        bins: how many bins the calibration errors have.
        by: a column whose subgroups are measured one by one, or None.
        measures: which; by default all there are: those of `summary`, for two classes also those of `two_class_summary`
            with the second one as the positive class, and with a proximity of each sample `piece`.
        level: confidence of the intervals; None for none.
        as_published: whether the calibration errors of published code stand beside them, see `published_errors`.

    Returns:
        The results of `evaluate`, without ``seen``.

    Raises:
        InputError: if there are no labels, there is no such column or no such measure, or a measure needs what the
            predictions do not have.
    """
    chosen, left_out = measurable(stored)
    names = _names(measures, chosen, bins)
    if by is not None and by not in chosen.columns:
        raise unknown("column of the predictions", by, [name for name in chosen.columns if name not in INTERNAL])
    unit = about(stored, "unit") or None
    options: dict[str, Any] = {"bins": bins, "units": chosen.columns.get(unit) if unit else None, "level": level}
    results = []
    for name, calibrator in calibrators.items():
        table = chosen.probabilities() if calibrator is None else calibrator(chosen)
        result: dict[str, Any] = {
            "data": about(stored, "data"),
            "split": about(stored, "split"),
            "calibrator": name,
            "n": len(chosen),
            "classes": len(chosen.classes),
            "unit": unit,
            "without_class": left_out,
            "all_images": _all_images(stored),
            "measures": _measures(table, chosen, names, **options),
        }
        if as_published:
            result["as_published"] = _published(table, chosen)
        if by is not None:
            result["by"] = by
            result["groups"] = _groups(table, chosen, by, names, **options)
        results.append(result)
    return results


def measurable(stored: Predictions) -> tuple[Predictions, int]:
    """Leave out samples of none of the classes.

    Args:
        stored: the predictions.

    Returns:
        The others, and how many were left out.

    Raises:
        InputError: if there are no labels, or no sample is left.
    """
    what = about(stored, "data") or "the predictions"
    if stored.labels is None:
        raise InputError(f"{what}: there are no labels, so nothing can be measured")
    inside = stored.labels >= 0
    if not inside.any():
        raise InputError(f"{what}: no sample belongs to one of the classes")
    return stored.subset(inside), int((~inside).sum())


def about(stored: Predictions, key: str) -> str:
    """Say what is known about how predictions were made, or nothing."""
    return str(stored.about.get(key) or "")


def _all_images(stored: Predictions) -> bool:
    """Whether all images of a folder or manifest were taken, since nothing says which of them are for testing."""
    from calibrant.data.listing import ALL_TEST

    return bool(stored.about.get("data_about", {}).get("split") == ALL_TEST)


def _names(measures: Sequence[str] | None, stored: Predictions, bins: int) -> list[str]:
    from calibrant.metrics.definitions import chosen, definitions, more_definitions

    more = more_definitions(bins)
    names = chosen(measures, [*definitions(bins), *more])
    if "ece" in names and "ece_noise_floor" not in names:
        names.append("ece_noise_floor")  # never one without the other
    lacking = {name: _lacking(name, stored) for name in names if name in more}
    for name, what in lacking.items():
        if measures is not None and what:
            raise InputError(f"the measure {name} needs {what}")
    return [name for name in names if not lacking.get(name)]


def _lacking(name: str, stored: Predictions) -> str:
    if name == "piece":
        return "" if stored.proximity is not None else "predictions with the field proximity"
    return "" if len(stored.classes) == 2 else f"two classes, not {len(stored.classes)}"


def _measures(
    table: Array, stored: Predictions, names: Sequence[str], *, bins: int, units: Array | None, level: float | None
) -> dict[str, Any]:
    from calibrant.metrics import summary_with_intervals
    from calibrant.metrics.definitions import definitions

    found: dict[str, Any] = {}
    of_summary = [name for name in names if name in definitions(bins)]
    if of_summary:
        found |= summary_with_intervals(table, stored.labels, bins=bins, measures=of_summary, units=units, level=level)
    found |= _more(table, stored, names, bins=bins, units=units, level=level)
    return {name: _noted(found[name]) for name in names}


def _more(
    table: Array, stored: Predictions, names: Sequence[str], *, bins: int, units: Array | None, level: float | None
) -> dict[str, Any]:
    """Measure what only some predictions have."""
    from calibrant.metrics import piece, two_class_summary
    from calibrant.metrics.definitions import PIECE_BINS, definitions, more_definitions

    found: dict[str, Any] = {}
    if set(names) - set(definitions(bins)) - {"piece"}:
        positive = stored.classes[POSITIVE]
        found |= two_class_summary(table, stored.labels, POSITIVE, name=positive, units=units, level=level)
    if "piece" in names:
        value = piece(table, stored.labels, stored.proximity, bins, PIECE_BINS)
        found["piece"] = {"value": value, "low": None, "high": None, "definition": more_definitions(bins)["piece"]}
    return {name: one for name, one in found.items() if name in names}


def _published(table: Array, stored: Predictions) -> dict[str, Any]:
    from calibrant.metrics import PUBLISHED, published_errors

    values = published_errors(table, stored.labels, proximity=stored.proximity)
    return {name: {"value": value, "definition": PUBLISHED[name]} for name, value in values.items()}


def _groups(
    table: Array,
    stored: Predictions,
    by: str,
    names: Sequence[str],
    *,
    bins: int,
    units: Array | None,
    level: float | None,
) -> list[dict[str, Any]]:
    from calibrant.metrics import by_group
    from calibrant.metrics.definitions import definitions

    column = stored.columns[by]
    of_summary = [name for name in names if name in definitions(bins)]
    groups = by_group(
        table, stored.labels, column, bins=bins, measures=of_summary or ["accuracy"], units=units, level=level
    )
    rows = []
    for group in groups:
        here = column.astype(str) == group["group"]
        own = None if units is None else units[here]
        more = _more(table[here], stored.subset(here), names, bins=bins, units=own, level=level)
        found = {**group["measures"], **more}
        rows.append({**group, "measures": {name: _noted(found[name]) for name in names}})
    return rows


def _noted(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Say why there is no number, since JSON has none for that."""
    if np.isfinite(measured["value"]):
        return dict(measured)
    return {**measured, "note": INFINITE if np.isinf(measured["value"]) else UNDEFINED}
