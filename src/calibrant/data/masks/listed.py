"""From the files of a data set to their masks, and back to the images that have one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.data.listing import Listing, Options
from calibrant.data.masks.grid import GRIDS
from calibrant.data.masks.layouts import find_objects
from calibrant.data.masks.object_masks import AREA, HASH, SHARE, CheckedMasks, check_masks, refuse_bad_masks
from calibrant.data.masks.objects import of_their_class
from calibrant.errors import InputError, unknown
from calibrant.storage import digest

NO_MASKS = "none"


def with_objects(listing: Listing, options: Options, words: Mapping[str, Iterable[str]]) -> Listing:
    """Find out what is known about the objects of images, before any image is read.

    Args:
        listing: the images, with the objects of its own manifest, if any.
        options: where the masks are, and what to do with bad ones.
        words: label to everything that the class is called.

    Returns:
        The images with their objects.

    Raises:
        InputError: if the source cannot be used, an option makes no sense, or an annotation is at fault and bad masks
            are not to be skipped.
    """
    if options.mask_grid not in GRIDS:
        raise unknown("mask_grid", str(options.mask_grid), GRIDS)
    refuse_bad_masks([], 0, options.on_bad_mask)
    objects = None if options.masks == NO_MASKS else listing.objects
    if options.masks not in (None, NO_MASKS):
        objects = find_objects(str(options.masks), listing.ids)
    if objects is None:
        return replace(listing, objects=None)
    for name in (AREA, SHARE):
        if name in listing.columns:
            raise InputError(f"{listing.name}: Calibrant fills a column '{name}' itself; give yours another name")
    objects = of_their_class(objects, listing.labels, words)
    if options.on_bad_mask == "fail":
        pairs = zip(listing.ids, objects, strict=True)
        faults = [(name, f"{one.where}: {one.fault}") for name, one in pairs if one is not None and one.fault]
        refuse_bad_masks(faults, len(objects), options.on_bad_mask)
    return replace(listing, objects=objects)


def with_masks(
    images: EvaluationSet, splits: npt.NDArray[np.str_], listing: Listing, options: Options
) -> tuple[EvaluationSet, npt.NDArray[np.str_]]:
    """Draw and check the masks, and leave out the images whose masks are bad, if that is wanted.

    This comes after the split, so that masks never change which image is in which split.

    Args:
        images: N images of all splits.
        splits: [N].
        listing: the N images with their objects.
        options: what to do with bad masks.

    Returns:
        The images that stay, with masks and the columns `CheckedMasks.columns`, and their splits.

    Raises:
        InputError: naming the images whose mask is missing or cannot be used, if bad masks are not to be skipped.

    Warns:
        CalibrantWarning: with the images that are left out.
    """
    if listing.objects is None:
        return images, splits
    checked = check_masks(
        listing.paths, listing.objects, images.labels, splits, grid=options.mask_grid, progress=options.progress
    )
    bad = [(images.ids[i], reason) for i, reason in checked.bad.items()]
    refuse_bad_masks(bad, int(checked.there.sum()), options.on_bad_mask)
    stay = np.setdiff1d(np.arange(len(splits)), list(checked.bad)).astype(np.int64)
    if len(stay) == 0:
        raise InputError(f"{images.name}: no image has a mask that can be used, such as {bad[0][0]}: {bad[0][1]}")
    about = {**images.about, "masks": _about(checked, options)}
    about["left_out"] = [*images.about["left_out"], *(f"{name}: {reason}" for name, reason in bad)]
    whole = replace(images, masks=checked.masks, columns={**images.columns, **checked.columns()}, about=about)
    return whole.subset(stay), splits[stay]


def in_split(part: EvaluationSet) -> EvaluationSet:
    """Drop the masks of a split in which no image has one, and put the hashes of the others in the fingerprint.

    Args:
        part: images of one split.

    Returns:
        The same images, without the column of hashes.
    """
    if part.masks is None:
        return part
    there = bool(np.any(part.columns[AREA] >= 0))
    dropped = {HASH} if there else {HASH, AREA, SHARE}
    return replace(
        part,
        columns={name: values for name, values in part.columns.items() if name not in dropped},
        masks=part.masks if there else None,
        fingerprint=digest(part.fingerprint, part.columns[HASH].tolist()) if there else part.fingerprint,
    )


def _about(checked: CheckedMasks, options: Options) -> str:
    source = options.masks or "the manifest"
    return f"{int(checked.there.sum()) - len(checked.bad)} masks from {source}, for the pixels as {options.mask_grid}"
