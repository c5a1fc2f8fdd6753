"""PT and IR per class, and per quarter of the object's area: large objects make evidence valid by themselves."""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np

from calibrant.arrays import Array, Float64, as_array, as_floats
from calibrant.errors import InputError
from calibrant.metrics.bootstrap import unit_index
from calibrant.metrics.groups import TOO_FEW
from calibrant.rationality.cell_intervals import summary_with_intervals
from calibrant.rationality.cells import THRESHOLD, checked, inside_of

QUARTERS = ("1st quarter", "2nd quarter", "3rd quarter", "4th quarter")
OUTSIDE = "outside the image"


class GroupCells(TypedDict):
    """One group of images: its name, images, units of independence, a note, and its measures."""

    group: str
    n: int
    units: int
    note: str
    measures: dict[str, Any]


def by_group(
    correct: Any,
    relevance_mass: Any,
    groups: Any,
    *,
    threshold: float = THRESHOLD,
    outside: Any = None,
    units: Any = None,
    fewest: int = 30,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> list[GroupCells]:
    """Measure every group of images by itself, such as a class or a quarter of the areas.

    Args:
        correct: bool [N].
        relevance_mass: float [N]; NaN where there is no evidence.
        groups: the group of each image [N], any plain type.
        threshold: from which mass on evidence is valid.
        outside: bool [N], images to leave out, as for `summary`.
        units: one value [N] per image, equal for images that depend on each other; None if all are independent.
        fewest: groups of fewer units than this carry the note "too few to tell".
        level: confidence.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        One entry per group in the order of their names, with the measures of `summary_with_intervals`.

    Raises:
        InputError: as for `summary`, or if the groups are not one per image.

    Example:
        >>> rows = by_group([True] * 80, [0.9] * 40 + [0.1] * 40, ["cat"] * 40 + ["dog"] * 40, resamples=10)
        >>> [(row["group"], row["measures"]["PT"].value) for row in rows]
        [('cat', 1.0), ('dog', 0.0)]
    """
    right, mass = checked(correct, relevance_mass, threshold)
    names = as_array(groups, "groups")
    if names.shape != right.shape:
        raise InputError(f"there are {len(right)} images but the groups have shape {list(names.shape)}")
    unit, _ = unit_index(units, len(right))
    options: dict[str, Any] = {"threshold": threshold, "level": level, "resamples": resamples, "seed": seed}
    away = ~inside_of(outside, len(right))
    found = []
    for name in np.unique(names):
        here = np.flatnonzero(names == name)
        own = None if units is None else unit[here]
        measures = summary_with_intervals(right[here], mass[here], outside=away[here], units=own, **options)
        many = len(np.unique(unit[here]))
        note = TOO_FEW if many < fewest else ""
        found.append(GroupCells(group=str(name), n=len(here), units=many, note=note, measures=measures))
    return found


def area_quarters(area: Any) -> Array:
    """Sort images into four groups of about equally many by the area of their objects, as groups for `by_group`.

    Args:
        area: share of the image that the object covers, float [N], see `object_area`.

    Returns:
        The name of each image's group with its range of areas, str [N]; images of equal area stay together, and those
        whose object lies outside the image (area 0) are a group of their own.

    Raises:
        InputError: if an area is no share.

    Example:
        >>> area_quarters([0.1, 0.2, 0.3, 0.4])[0]
        np.str_('1st quarter (10.0 % to 10.0 %)')
    """
    share: Float64 = as_floats(area, "areas", (None,)).astype(np.float64)
    if ((share < 0) | (share > 1)).any():
        raise InputError("the area of an object is a share of the image, from 0 to 1")
    inside = share > 0
    result = np.full(len(share), OUTSIDE, dtype=f"<U{len(QUARTERS[0]) + 24}")
    if not inside.any():
        return result
    # an edge is the area of an image, so that rounding between two of them cannot part equal ones
    edges = np.quantile(share[inside], [0.25, 0.5, 0.75], method="inverted_cdf")
    quarter = np.searchsorted(edges, share)
    for at in np.unique(quarter[inside]):
        here = inside & (quarter == at)
        result[here] = f"{QUARTERS[at]} ({100 * share[here].min():.1f} % to {100 * share[here].max():.1f} %)"
    return result
