"""Every measure per subgroup: where the model is weak, and where there are too few samples to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np

from calibrant.arrays import as_array
from calibrant.errors import InputError, unknown
from calibrant.metrics.bootstrap import unit_index
from calibrant.metrics.definitions import BETTER, chosen, definitions
from calibrant.metrics.scores import checked
from calibrant.metrics.summary import Measured, measured_table

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
    measures: Sequence[str] | None = None,
    units: Any = None,
    fewest: int = 30,
    level: float | None = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[GroupSummary]:
    """Measure every subgroup by itself, worst first.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        groups: the subgroup of each sample [N], any plain type.
        worst_by: the measure to sort by, one of which more is better or worse; among `measures` it need not be.
        bins: how many bins the calibration errors have.
        measures: which to give; by default all that `definitions` lists.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are
            independent.
        fewest: subgroups of fewer units than this carry the note "too few to tell" and come last.
        level: confidence of the intervals; None for none.
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
    sortable = [name for name in definitions(bins) if name in BETTER]
    if worst_by not in sortable:
        raise unknown("measure to sort by", worst_by, sortable)
    wanted = chosen(measures, definitions(bins))
    p, y = checked(probs, labels)
    names = as_array(groups, "groups")
    if names.shape != (len(y),):
        raise InputError(f"there are {len(y)} samples but the groups have shape {list(names.shape)}")
    unit, _ = unit_index(units, len(y))
    found: list[tuple[float, GroupSummary]] = []
    sign = 1 if BETTER[worst_by] == "high" else -1
    for name in np.unique(names):
        here = np.flatnonzero(names == name)
        many = len(np.unique(unit[here]))
        own = None if units is None else unit[here]
        measured = measured_table(p[here], y[here], bins, own, level, resamples, seed, [*wanted, worst_by])
        worst = sign * measured[worst_by]["value"]
        kept = {key: one for key, one in measured.items() if key in wanted}
        note = TOO_FEW if many < fewest else ""
        found.append((worst, GroupSummary(group=str(name), n=len(here), units=many, note=note, measures=kept)))
    # a group that has no such value comes after those that have
    found.sort(key=lambda pair: (bool(pair[1]["note"]), np.isnan(pair[0]), pair[0]))
    return [group for _, group in found]
