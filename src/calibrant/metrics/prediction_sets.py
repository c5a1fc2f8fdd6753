"""How good sets of possible answers are: how often the right one is in them, and how many there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrant.arrays import as_array, as_labels
from calibrant.errors import InputError
from calibrant.metrics.average import average
from calibrant.metrics.binomial import share
from calibrant.metrics.estimate import Estimate


@dataclass(frozen=True)
class SetSummary:
    """What sets of possible answers are worth.

    Args:
        coverage: share of samples whose class is in their set, with an exact binomial interval.
        size: mean number of classes in a set, with a bootstrap interval.
        single: share of sets with one class.
        empty: share of sets without any.
        n: how many samples there are.
    """

    coverage: Estimate
    size: Estimate
    single: float
    empty: float
    n: int


def set_summary(sets: Any, labels: Any, *, units: Any = None, level: float = 0.95) -> SetSummary:
    """Measure sets of possible answers.

    Args:
        sets: bool [N, C], which classes are in the set of each sample.
        labels: class indices [N].
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent.
        level: confidence of the intervals.

    Returns:
        Coverage and mean size with their intervals.

    Raises:
        InputError: if the sets are not bool [N, C], there is no sample, or a label is no class.

    Example:
        >>> found = set_summary([[True, False], [True, True]] * 20, [0, 1] * 20)
        >>> found.coverage.value, found.size.value, found.single
        (1.0, 1.5, 0.5)
    """
    chosen = as_array(sets, "sets")
    if chosen.dtype.kind != "b" or chosen.ndim != 2 or len(chosen) == 0:
        raise InputError(f"sets must be true or false [N, C], not {chosen.dtype} values of shape {list(chosen.shape)}")
    truth = as_labels(labels, *chosen.shape)
    count = chosen.sum(axis=1)
    return SetSummary(
        coverage=share(chosen[np.arange(len(chosen)), truth], units, level),
        size=average(count, units=units, level=level),
        single=float(np.mean(count == 1)),
        empty=float(np.mean(count == 0)),
        n=len(chosen),
    )
