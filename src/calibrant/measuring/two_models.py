"""Compare predictions of two models on the same samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from calibrant.errors import InputError
from calibrant.measuring.one_model import about, measurable

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.predictions import Predictions


def same_samples(stored: Predictions, other: Predictions, name: str) -> Predictions:
    """Check that two predictions are about the same samples, labels and classes.

    Args:
        stored: the predictions.
        other: those to compare with; where both have ids their order may differ.
        name: what errors call the other ones.

    Returns:
        The other ones in the order of the first.

    Raises:
        InputError: if anything differs.
    """
    if stored.classes != other.classes:
        raise InputError(f"{name} is not about the same classes: {_class_difference(stored.classes, other.classes)}")
    if len(stored) != len(other):
        raise InputError(f"{name} is not about the same samples: it has {len(other)} instead of {len(stored)}")
    if stored.ids is not None and other.ids is not None and stored.ids != other.ids:
        place = {one: position for position, one in enumerate(other.ids)}
        missing = next((one for one in stored.ids if one not in place), None)
        if missing is not None:
            raise InputError(f"{name} is not about the same samples: it has no sample '{missing}'")
        other = other.subset(np.array([place[one] for one in stored.ids]))
    if stored.labels is None or other.labels is None:
        raise InputError(f"{name} has no labels, so nothing can be compared")
    different = np.flatnonzero(stored.labels != other.labels)
    if len(different):
        row = int(different[0])
        which = f"sample '{stored.ids[row]}'" if stored.ids is not None else f"row {row}"
        raise InputError(f"{name} is not about the same samples: {which} has another label there")
    return other


def differences(
    stored: Predictions,
    calibrator: Calibrator | None,
    other: Predictions,
    other_calibrator: Calibrator | None,
    *,
    bins: int = 15,
    measures: Sequence[str] | None = None,
    level: float | None = 0.95,
) -> dict[str, dict[str, float | None]]:
    """Measure by how much every measure of predictions differs from that of others on the same samples.

    Args:
        stored: the predictions, with labels.
        calibrator: that of the predictions, or None for the model as it is.
        other: what `same_samples` gave.
        other_calibrator: that of the others.
        bins: how many bins the calibration errors have.
        measures: which; by default all of `summary`. Others are left out.
        level: confidence of the intervals; None for none.

    Returns:
        Measure to ``value`` (the predictions minus the others), ``low`` and ``high``, which are None where there is no
        interval. The noise floor is none of them.
    """
    from calibrant.metrics import compare
    from calibrant.metrics.definitions import definitions

    known = [name for name in definitions(bins) if name != "ece_noise_floor"]
    names = [name for name in known if measures is None or name in measures]
    if not names:
        return {}
    (first, _), (second, _) = measurable(stored), measurable(other)
    after, before = (
        one.probabilities() if used is None else used(one)
        for one, used in ((first, calibrator), (second, other_calibrator))
    )
    unit = about(stored, "unit")
    found = compare(before, after, first.labels, bins=bins, measures=names, units=first.columns.get(unit), level=level)
    return {
        name: {
            "value": one.value,
            "low": one.low if one.known else None,
            "high": one.high if one.known else None,
        }
        for name, one in found.items()
    }


def _class_difference(classes: Sequence[str], others: Sequence[str]) -> str:
    if len(classes) != len(others):
        return f"it has {len(others)} classes instead of {len(classes)}"
    if set(classes) == set(others):
        return "its classes have another order"
    return f"it has no class '{next(name for name in classes if name not in set(others))}'"
