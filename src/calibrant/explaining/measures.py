"""What is measured on the answers and the evidence of each model, as JSON holds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.metrics import Estimate, paired_difference
from calibrant.rationality import (
    area_quarters,
    by_group,
    right_reason_auroc,
    summary_difference,
    summary_with_intervals,
    threshold_curve,
    within_cells,
)
from calibrant.storage import finite

if TYPE_CHECKING:
    from calibrant.arrays import Array
    from calibrant.explaining.answers import Answered
    from calibrant.explaining.evidence import Evidence

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
ON_OBJECTS = ("relevance_mass", "relevance_rank", "pointing_game", "best_iou")


def measured_model(
    answered: Answered, evidence: Evidence, labels: Sequence[str], *, threshold: float, units: Array | None
) -> dict[str, Any]:
    """Measure one model.

    Args:
        answered: its answers on N images.
        evidence: of its heat maps.
        labels: N class names.
        threshold: relevance mass from which evidence is valid.
        units: one value [N] per image, equal for images that depend on each other; None if none do.

    Returns:
        ``model``, ``calibrator``; ``measures`` (the four cells, PT, IR ...), the same by ``thresholds``, ``classes``
        and ``areas``; ``confidence`` within each cell and its ``auroc`` for answers that are right for the right
        reason; ``maps``: how far they lie on the objects, and ``above_centre``.
    """
    options: dict[str, Any] = {"threshold": threshold, "outside": evidence.outside, "units": units}
    right, mass = answered.correct, evidence.relevance_mass
    seen = ~evidence.outside
    seen_units = None if units is None else units[seen]
    inside = (answered.confidence[seen], right[seen], mass[seen])
    return {
        "model": answered.model,
        "calibrator": answered.calibrator,
        "measures": plain(summary_with_intervals(right, mass, **options)),
        "thresholds": plain(threshold_curve(right, mass, THRESHOLDS, outside=evidence.outside, units=units)),
        "classes": plain(by_group(right, mass, np.asarray(labels), **options)),
        "areas": plain(by_group(right, mass, area_quarters(evidence.area), **options)),
        "confidence": plain(within_cells(*inside, threshold=threshold, units=seen_units)) if seen.any() else {},
        "auroc": plain(right_reason_auroc(*inside, threshold=threshold, units=seen_units)) if seen.any() else {},
        "maps": plain(_maps(evidence, units)),
    }


def differences(
    before: tuple[Answered, Evidence], after: tuple[Answered, Evidence], *, threshold: float, units: Array | None
) -> dict[str, Any]:
    """Estimate what tuning changes on the same images, with paired intervals.

    Args:
        before: answers and evidence of the zero-shot model.
        after: those of the tuned model.
        threshold: relevance mass from which evidence is valid.
        units: as for `measured_model`.

    Returns:
        After minus before, for the measures of `calibrant.rationality.summary_difference`.
    """
    (one, first), (other, second) = before, after
    options: dict[str, Any] = {"threshold": threshold, "outside": second.outside, "units": units}
    found = summary_difference((one.correct, first.relevance_mass), (other.correct, second.relevance_mass), **options)
    return {name: plain(estimate) for name, estimate in found.items()}


def plain(value: Any) -> Any:
    """Turn estimates and arrays, at any depth, into what JSON can hold."""
    return finite(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Estimate):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _maps(evidence: Evidence, units: Array | None) -> dict[str, Estimate]:
    """Average how far maps lie on the objects that the model sees, and how far above a look at the centre."""
    found = {name: _mean(getattr(evidence, name), evidence, units) for name in ON_OBJECTS}
    above = evidence.relevance_mass - evidence.centre
    shown = {"area": evidence.area, "centre": evidence.centre, "above_centre": above}
    shown["above_uniform"] = evidence.relevance_mass - evidence.area
    return found | {name: _mean(values, evidence, units) for name, values in shown.items()}


def _mean(values: Array, evidence: Evidence, units: Array | None) -> Estimate:
    known = ~np.isnan(evidence.relevance_mass) & ~evidence.outside
    if not known.any():
        return Estimate(float("nan"), float("nan"), float("nan"))
    own = None if units is None else units[known]
    return paired_difference(np.zeros(int(known.sum())), values[known], units=own)
