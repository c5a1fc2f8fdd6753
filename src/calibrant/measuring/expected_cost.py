"""What it costs to decide by expected cost, measured on predictions with labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator, Costs
    from calibrant.predictions import Predictions

LINES = 20  # classes whose thresholds are shown on the screen


def given_costs(costs: str | Path | Costs) -> Costs:
    """Read costs, unless they are there already."""
    from calibrant.calibration import Costs, read_costs

    return costs if isinstance(costs, Costs) else read_costs(costs)


def measured_costs(stored: Predictions, calibrator: Calibrator | None, costs: Costs) -> dict[str, Any]:
    """Measure what deciding by cost costs per image.

    Args:
        stored: predictions with labels; those of none of the classes are left out.
        calibrator: whose probabilities are used; None for those of the model.
        costs: of the same classes in any order.

    Returns:
        ``cost`` of these decisions, ``likeliest`` of always giving the likeliest class and ``saved``, each with
        ``value``, ``low`` and ``high``; ``asked``, the share of images for a human; ``n``; and ``says``, a sentence.

    Raises:
        InputError: if the costs are of other classes.
    """
    from calibrant.calibration import cost_summary

    assert stored.labels is not None
    chosen, unit = stored.subset(stored.labels >= 0), stored.about.get("unit")
    table = chosen.probabilities() if calibrator is None else calibrator(chosen)
    units = chosen.columns.get(unit) if unit else None
    found = cost_summary(costs.for_classes(stored.classes), table, chosen.labels, units=units)
    return {**found.record(), "says": found.sentence("images")}


def with_costs(
    results: Sequence[Mapping[str, Any]],
    stored: Predictions,
    calibrators: Mapping[str, Calibrator | None],
    costs: Costs | None,
) -> list[dict[str, Any]]:
    """Add what decisions cost to results, under ``costs``, where the classes are those of the costs.

    Args:
        results: of one set of predictions, one per calibrator.
        stored: the predictions.
        calibrators: name to calibrator.
        costs: or None to add nothing.

    Returns:
        The results.
    """
    if costs is None or set(costs.classes) != set(stored.classes):
        return [dict(one) for one in results]
    return [{**one, "costs": measured_costs(stored, calibrators[one["calibrator"]], costs)} for one in results]


def thresholds(costs: Costs) -> list[dict[str, Any]]:
    """Give from which probability on each class is the cheapest answer.

    Args:
        costs: of C classes.

    Returns:
        ``class``, ``never_below`` and ``always_from``, see `calibrant.calibration.ClassThreshold`; None for never.
    """
    from calibrant.calibration import class_thresholds

    return [
        {"class": one.name, "never_below": _or_none(one.never_below), "always_from": _or_none(one.always_from)}
        for one in class_thresholds(costs)
    ]


def refuse_unmeasured(results: Sequence[Mapping[str, Any]], costs: Costs) -> None:
    """Refuse costs that are of the classes of no result."""
    if not any("costs" in one for one in results):
        raise InputError(
            f"the costs are of {len(costs.classes)} classes ({', '.join(list(costs.classes)[:3])}, ...), "
            "and none of the predictions has just these"
        )


def in_words(results: Sequence[Mapping[str, Any]], cheapest_from: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Say what decisions cost, and from which probability on the first classes are answered.

    Args:
        results: some of which have ``costs``.
        cheapest_from: as `thresholds` gives them.

    Yields:
        Lines.
    """
    for one in results:
        if "costs" in one:
            where = " ".join(filter(None, [one["data"], one["split"]]))
            yield f"{where}, calibrator {one['calibrator']}: {one['costs']['says']}".removeprefix(", ")
    for row in cheapest_from[:LINES]:
        low, high = (_probability(row[end]) for end in ("never_below", "always_from"))
        if low == high:
            yield f"'{row['class']}' is the cheapest decision from probability {low} on."
        else:
            until = f"may be the cheapest decision from probability {low} on, and always is from {high} on."
            yield f"'{row['class']}' {until}"
    if len(cheapest_from) > LINES:
        yield f"... and so on for {len(cheapest_from) - LINES} more classes (--json gives all)."


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _probability(value: float | None) -> str:
    return "never" if value is None else f"{value:.3g}"
