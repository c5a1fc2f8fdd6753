"""PT and IR over thresholds of validity: whether a finding hangs on the choice of one half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from calibrant.errors import InputError
from calibrant.rationality.cell_intervals import summary_with_intervals

THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7)


def threshold_curve(
    correct: Any,
    relevance_mass: Any,
    thresholds: Sequence[float] = THRESHOLDS,
    *,
    outside: Any = None,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Measure the cells at each of several thresholds.

    Args:
        correct: bool [N].
        relevance_mass: float [N]; NaN where there is no evidence.
        thresholds: T shares, from which mass on evidence is valid.
        outside: bool [N], images to leave out, as for `summary`.
        units: one value [N] per image, equal for images that depend on each other; None if all are independent.
        level: confidence.
        resamples: redrawn sets, the same for every threshold.
        seed: of the redraws.

    Returns:
        What `summary_with_intervals` gives, T times; ``threshold`` says for which. The higher the threshold, the fewer
        images are valid, so PT falls along the curve; IR may do either.

    Raises:
        InputError: as for `summary`, or if there is no threshold.

    Example:
        >>> curve = threshold_curve([True] * 4, [0.35, 0.45, 0.55, 0.65], [0.3, 0.5], resamples=10)
        >>> [(point["threshold"], point["PT"].value) for point in curve]
        [(0.3, 1.0), (0.5, 0.5)]
    """
    if len(thresholds) == 0:
        raise InputError("a curve needs at least one threshold")
    options = {"outside": outside, "units": units, "level": level, "resamples": resamples, "seed": seed}
    return [summary_with_intervals(correct, relevance_mass, threshold=one, **options) for one in thresholds]
