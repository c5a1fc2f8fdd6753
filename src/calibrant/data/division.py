"""Which image goes where: the user's split if there is one, else ours; groups always stay whole."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibrant.data.duplicates import groups_of
from calibrant.data.listing import SPLITS, Listing
from calibrant.data.splits import halves, stratified
from calibrant.errors import CalibrantWarning, InputError

FRACTIONS = (0.6, 0.2, 0.2)


@dataclass(frozen=True)
class Division:
    """Where each of N images goes.

    Args:
        splits: str [N].
        parts: str [N]: ``"choice"`` or ``"threshold"`` for validation images, empty for others.
        how: one sentence for the record.
    """

    splits: npt.NDArray[np.str_]
    parts: npt.NDArray[np.str_]
    how: str


def divide(listing: Listing, labels: npt.NDArray[np.int64], pairs: npt.NDArray[np.int64], seed: int) -> Division:
    """Split the images, unless the user did, and the validation images once more.

    Without a split: 60 % train, 20 % validation, 20 % test per class. With training images but no validation
    images, a fifth of the training images becomes validation. Groups and near-duplicates stay together.

    Args:
        listing: N images.
        labels: int64 [N].
        pairs: int64 [P, 2], near-duplicates.
        seed: of the split.

    Returns:
        The division.

    Raises:
        InputError: if there are too few images or groups for three parts.
    """
    units = _units(listing, pairs)
    if listing.splits is None:
        positions = stratified(labels, FRACTIONS, seed, units)
        if min(map(len, positions)) == 0:
            raise InputError(f"{listing.name}: too few images or groups to split in train, validation and test")
        splits = np.empty(len(labels), dtype="<U10")
        for split, chosen in zip(SPLITS, positions, strict=True):
            splits[chosen] = split
        how = f"made by Calibrant: 60/20/20 per class, seed {seed}"
    else:
        splits, how = np.array(listing.splits, dtype="<U10"), "given"
        if "train" in splits and "validation" not in splits:
            train = np.flatnonzero(splits == "train")
            splits[train[stratified(labels[train], (0.8, 0.2), seed, units[train])[1]]] = "validation"
            how = f"given; validation is a fifth of the training images, seed {seed}"
    return Division(splits, _parts(listing, labels, units, splits), how)


def refuse_divided_groups(listing: Listing) -> None:
    """Refuse a group (a patient, a camera) that the user's own split divides.

    Args:
        listing: the images.

    Raises:
        InputError: naming the group.
    """
    if listing.splits is None or "group" not in listing.columns:
        return
    home: dict[str, str] = {}
    for group, split in zip(listing.columns["group"], listing.splits, strict=True):
        other = home.setdefault(group, split)
        if other != split:
            raise InputError(
                f"{listing.name}: group '{group}' is in {other} and in {split}; a group belongs to one split"
            )


def refuse_missing_classes(
    labels: npt.NDArray[np.int64], splits: npt.NDArray[np.str_], classes: list[str], name: str
) -> None:
    """Refuse classes that cannot be tuned on, and warn of those that cannot be measured.

    Args:
        labels: int64 [N].
        splits: str [N].
        classes: class names.
        name: of the data set.

    Raises:
        InputError: if there are training images, but none of some class.

    Warns:
        CalibrantWarning: if validation or test lack a class.
    """
    for split in (split for split in SPLITS if split in splits):
        there = labels[(splits == split) & (labels >= 0)]
        if len(there) == 0:  # images of none of the classes only
            continue
        present = np.bincount(there, minlength=len(classes)) > 0
        missing = [classes[c] for c in np.flatnonzero(~present)]
        if missing and split == "train":
            raise InputError(f"{name}: class '{missing[0]}' has no training images; add some or remove the class")
        if missing:
            shown = ", ".join(f"'{c}'" for c in missing[:3]) + (", ..." if len(missing) > 3 else "")
            warnings.warn(
                f"{name}: {len(missing)} classes have no {split} images: {shown}",
                CalibrantWarning,
                stacklevel=5,
            )


def near_rows(listing: Listing, splits: npt.NDArray[np.str_], pairs: npt.NDArray[np.int64]) -> list[dict[str, str]]:
    """List near-duplicates, and warn of those that the user's own split divides.

    Args:
        listing: N images.
        splits: str [N].
        pairs: int64 [P, 2].

    Returns:
        Rows with the keys ``first``, ``second`` (ids), ``first_split`` and ``second_split``.

    Warns:
        CalibrantWarning: with the count and the first such pair.
    """
    rows = [
        {
            "first": listing.ids[i],
            "second": listing.ids[j],
            "first_split": str(splits[i]),
            "second_split": str(splits[j]),
        }
        for i, j in pairs.tolist()
    ]
    crossing = [row for row in rows if row["first_split"] != row["second_split"]]
    if crossing:
        one = "{first} ({first_split}) and {second} ({second_split})".format(**crossing[0])
        warnings.warn(
            f"{listing.name}: {len(crossing)} near-duplicates lie in different splits, such as {one}; "
            "results will look better than they are",
            CalibrantWarning,
            stacklevel=5,
        )
    return rows


def _units(listing: Listing, pairs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number what must stay together: groups, joined where they share near-duplicates."""
    if "group" in listing.columns:
        first: dict[str, int] = {}
        same = [(first.setdefault(group, i), i) for i, group in enumerate(listing.columns["group"])]
        pairs = np.concatenate([pairs, np.array(same, dtype=np.int64)])
    return groups_of(pairs, len(listing.paths))


def _parts(
    listing: Listing,
    labels: npt.NDArray[np.int64],
    units: npt.NDArray[np.int64],
    splits: npt.NDArray[np.str_],
) -> npt.NDArray[np.str_]:
    """Divide the validation images by a hash of the group, or of the first name that stays together."""
    names = listing.columns.get("group", listing.ids)
    validation = np.flatnonzero(splits == "validation")
    key: dict[int, str] = {}
    for i in validation:
        unit = int(units[i])
        key[unit] = min(key.get(unit, names[i]), names[i])
    parts = np.full(len(splits), "", dtype="<U9")
    second = halves(labels[validation], [key[int(units[i])] for i in validation])
    parts[validation] = np.where(second, "threshold", "choice")
    return parts
