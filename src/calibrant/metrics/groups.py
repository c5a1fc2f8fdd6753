"""Every measure per subgroup: where the model is weak, and where there are too few samples to tell."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from calibrant.arrays import as_array
from calibrant.errors import InputError, unknown
from calibrant.metrics.bootstrap import unit_index
from calibrant.metrics.definitions import BETTER
from calibrant.metrics.scores import sample_scores
from calibrant.metrics.summary import Measured, measured_scores

TOO_FEW = "too few to tell"


class GroupSummary(TypedDict):
    """One subgroup: its name, samples, units of independence, a note, and its measures."""

    group: str
    n: int
    units: int
    note: str
    measures: dict[str, Measured]


def by_group(
    probs: Any,
    labels: Any,
    groups: Any,
    *,
    worst_by: str = "accuracy",
    bins: int = 15,
    units: Any = None,
    fewest: int = 30,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[GroupSummary]:
    """Measure every subgroup by itself, worst first.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        groups: the subgroup of each sample [N], any plain type.
        worst_by: the measure to sort by: ``"accuracy"``, ``"ece"``, ``"ece_debiased"``, ``"nll"`` or
            ``"brier"``.
        bins: how many bins of equal width the calibration errors have.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are
            independent.
        fewest: subgroups of fewer units than this carry the note "too few to tell" and come last.
        level: confidence of the intervals.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        One entry per subgroup, with the measures of `summary_with_intervals`.

    Raises:
        InputError: if lengths differ, the rows are no probabilities, a label is no class, or `worst_by` has
            no worst.

    Example:
        >>> rows = by_group([[0.9, 0.1]] * 80, [0] * 40 + [1] * 40, ["a"] * 40 + ["b"] * 40, resamples=50)
        >>> [(row["group"], row["n"], row["measures"]["accuracy"]["value"]) for row in rows]
        [('b', 40, 0.0), ('a', 40, 1.0)]
    """
    if worst_by not in BETTER:
        raise unknown("measure to sort by", worst_by, BETTER)
    scores = sample_scores(probs, labels)
    names = as_array(groups, "groups")
    if names.shape != (len(scores),):
        raise InputError(f"there are {len(scores)} samples but the groups have shape {list(names.shape)}")
    unit, _ = unit_index(units, len(scores))
    rows: list[GroupSummary] = []
    for name in np.unique(names):
        chosen = np.flatnonzero(names == name)
        many = len(np.unique(unit[chosen]))
        own = None if units is None else unit[chosen]
        measures = measured_scores(scores.subset(chosen), bins, own, level, resamples, seed)
        note = TOO_FEW if many < fewest else ""
        rows.append(GroupSummary(group=str(name), n=len(chosen), units=many, note=note, measures=measures))
    sign = 1 if BETTER[worst_by] == "high" else -1
    return sorted(rows, key=lambda row: (bool(row["note"]), sign * row["measures"][worst_by]["value"]))
