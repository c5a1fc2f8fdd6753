"""The mean of any value per sample, with its interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import as_floats
from calibrant.errors import InputError
from calibrant.metrics.estimate import Estimate
from calibrant.metrics.paired import paired_difference


def average(values: Any, *, units: Any = None, level: float = 0.95, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Estimate the mean of a value per sample, such as a cost or the size of a set.

    Args:
        values: finite numbers [N].
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent.
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws; with the same seed they are those of every other interval of these samples.

    Returns:
        The mean with its percentile interval.

    Raises:
        InputError: if there is no sample, the lengths differ or a value is not finite.

    Example:
        >>> average([2.0] * 50)
        Estimate(value=2.0, low=2.0, high=2.0)
    """
    numbers = as_floats(np.asarray(values, dtype=np.float64), "values", (None,))
    if len(numbers) == 0:
        raise InputError("a mean needs at least one value")
    nothing = np.zeros(len(numbers))
    return paired_difference(nothing, numbers, units=units, level=level, resamples=resamples, seed=seed)
