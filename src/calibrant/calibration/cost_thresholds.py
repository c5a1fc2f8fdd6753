"""From which probability on each class is the cheapest answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibrant.arrays import Float64
from calibrant.calibration.costs import Costs


@dataclass(frozen=True)
class ClassThreshold:
    """Between which probabilities of a class its answer becomes the cheapest decision.

    Args:
        name: the class.
        never_below: below this probability some other decision is always cheaper; infinite if at every one.
        always_from: from this probability on no other decision is cheaper; infinite if from none. Between the two the
            rest of the probabilities decides. With two classes both are the same.
    """

    name: str
    never_below: float
    always_from: float


def class_thresholds(costs: Costs) -> list[ClassThreshold]:
    """Find from which probability on each class should be answered.

    What an answer costs more than another decision is linear in the probabilities. For a given probability p of the
    class it is extreme where all the rest lies on one other class, so that the two ends follow from the largest and the
    smallest difference in cost over the other classes.

    Args:
        costs: of C classes.

    Returns:
        One entry per class.

    Example:
        >>> costs = Costs(["cat", "dog"], [[0.0, 1.0], [9.0, 0.0]])
        >>> [(one.name, round(one.always_from, 6)) for one in class_thresholds(costs)]
        [('cat', 0.9), ('dog', 0.1)]
    """
    table, found = costs.of_decisions, []
    for one, name in enumerate(costs.classes):
        others = [column for column in range(table.shape[1]) if column != one]
        extra = table[:, [one]] - table[:, others]  # what the answer costs more, by true class and other decision
        right, wrong = extra[one], np.delete(extra, one, axis=0)
        found.append(
            ClassThreshold(
                name,
                never_below=float(_dearer_below(right, wrong.min(axis=0)).max()),
                always_from=float(_cheaper_from(right, wrong.max(axis=0)).max()),
            )
        )
    return found


def _dearer_below(right: Float64, wrong: Float64) -> Float64:
    """Find the probabilities p below which p right + (1 - p) wrong is above 0."""
    return np.where(wrong <= 0, 0.0, np.where(right <= 0, _root(right, wrong), np.inf))


def _cheaper_from(right: Float64, wrong: Float64) -> Float64:
    """Find the probabilities p from which on, up to 1, p right + (1 - p) wrong is at most 0."""
    return np.where(right > 0, np.inf, np.where(wrong <= 0, 0.0, _root(right, wrong)))


def _root(right: Float64, wrong: Float64) -> Float64:
    with np.errstate(divide="ignore", invalid="ignore"):  # where there is none, it is not used
        return np.asarray(wrong / (wrong - right))
