"""Learning, on validation images with masks, how sure to be that an answer is right and rests on the object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError
from calibrant.explaining.measures import plain
from calibrant.rationality import HeatMaps, RightReason, right_reason_summary

if TYPE_CHECKING:
    from calibrant.explaining.answers import Answered
    from calibrant.explaining.evidence import Evidence


def fit_right_reason(answered: Answered, maps: HeatMaps, evidence: Evidence, threshold: float) -> RightReason:
    """Fit the confidence for "right for the right reason" on held-out images.

    Args:
        answered: on N validation images, by the tuned model.
        maps: of its answers, in the same order.
        evidence: of the maps.
        threshold: relevance mass from which evidence is valid.

    Returns:
        The fitted calibrator, for maps of any images that are made in the same way.

    Raises:
        InputError: if the event happened for all images or for none.
    """
    inside = ~evidence.outside
    if not inside.any():
        raise InputError("the model sees the object of none of the validation images, so nothing can be learnt of them")
    return RightReason(threshold).fit(
        answered.confidence[inside],
        _comparable(answered, maps).subset(inside),
        answered.correct[inside],
        evidence.relevance_mass[inside],
    )


def measured_right_reason(
    fitted: RightReason, answered: Answered, maps: HeatMaps, evidence: Evidence
) -> dict[str, Any]:
    """Measure on other images how far that confidence can be believed, beside the ordinary one.

    Args:
        fitted: what `fit_right_reason` gave.
        answered: on N images.
        maps: of the answers, in the same order, made as those of the fit.
        evidence: of the maps.

    Returns:
        What `calibrant.rationality.right_reason_summary` gives.

    Raises:
        InputError: if no image has evidence.
    """
    inside = ~evidence.outside
    own = _comparable(answered, maps).subset(inside)
    sure, mass = answered.confidence[inside], evidence.relevance_mass[inside]
    chance = fitted.predict(sure, own)
    found: dict[str, Any] = plain(
        right_reason_summary(chance, sure, answered.correct[inside], mass, threshold=fitted.threshold)
    )
    return found


def _comparable(answered: Answered, maps: HeatMaps) -> HeatMaps:
    """Say whose confidence goes with the maps, and not of which images they are."""
    how = {key: value for key, value in maps.settings.items() if key != "images"}
    return HeatMaps(maps.maps, maps.ids, {**how, "confidence": answered.confidence_of})
