"""Masks of images: drawn when they are asked for, checked once when the data are loaded."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from calibrant.data.masks.grid import Grid, grid_of
from calibrant.data.masks.objects import Objects
from calibrant.data.masks.shapes import Mask
from calibrant.errors import CalibrantWarning, InputError, unknown
from calibrant.progress import progress_bar
from calibrant.storage import digest

POLICIES = ("fail", "skip")
AREA, SHARE, HASH = "object_area", "object_share", "mask"


@dataclass(frozen=True)
class ObjectMasks:
    """The masks of N images, in the pixels of the images as they are read.

    Args:
        objects: of each image; None for an image without an object.
        grids: what the objects are drawn on.

    Example:
        >>> from calibrant.data.masks.shapes import Box
        >>> masks = ObjectMasks([Objects("a.xml", (Box(0, 0, 1, 1),)), None], [Grid(1, 2), Grid(1, 1)])
        >>> [mask.tolist() for mask in masks]
        [[[True, False]], [[False]]]
    """

    objects: Sequence[Objects | None]
    grids: Sequence[Grid]

    def __len__(self) -> int:
        return len(self.objects)

    def __getitem__(self, index: int) -> Mask:
        one, grid = self.objects[index], self.grids[index]
        try:
            return grid.upright((one or Objects("")).draw(grid.height, grid.width))
        except InputError as error:
            if grid == grid.turned:
                raise
            hint = "EXIF turns this image; if its mask is for the upright view, say so (--mask-grid upright)"
            raise InputError(f"{error}; {hint}") from None


class Area(NamedTuple):
    """An object's pixels, their share of the image, and the hash of its mask."""

    pixels: int
    share: float
    content: str


@dataclass(frozen=True)
class CheckedMasks:
    """What was found about the masks of N images.

    Args:
        masks: of the N images.
        there: bool [N], False for the images of a split in which no image has a mask.
        areas: N areas.
        bad: position and reason of every image whose mask is missing or cannot be used.
    """

    masks: ObjectMasks
    there: npt.NDArray[np.bool_]
    areas: list[Area]
    bad: dict[int, str]

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Describe the masks.

        Returns:
            ``object_area``: int64 [N], pixels; ``object_share``: float64 [N], of the image's pixels; ``mask``: str [N],
            hashes, empty where there is no mask.
        """
        return {
            AREA: np.array([area.pixels for area in self.areas], dtype=np.int64),
            SHARE: np.array([area.share for area in self.areas], dtype=np.float64),
            HASH: np.array([area.content for area in self.areas], dtype=str),
        }


def check_masks(
    paths: Sequence[Path],
    objects: Sequence[Objects | None],
    labels: npt.NDArray[np.int64],
    splits: npt.NDArray[np.str_],
    *,
    grid: str = "stored",
    progress: bool = True,
) -> CheckedMasks:
    """Draw every mask once and keep its area.

    A split in which no image has an annotation has no masks. In the others every image of a class needs one; an image
    of none of the classes may have none, since it need not show an object.

    Args:
        paths: N images that can be read.
        objects: of the N images.
        labels: int64 [N]; -1 for none of the classes.
        splits: [N].
        grid: what the objects refer to, see `grid_of`.
        progress: show a progress bar on a terminal.

    Returns:
        What was found.
    """
    annotated = np.array([one is not None and bool(one.shapes or one.fault) for one in objects], dtype=bool)
    there = np.isin(splits, splits[annotated])
    grids = [grid_of(path, grid) for path in paths]
    masks = ObjectMasks(objects, grids)
    areas, bad = [Area(-1, np.nan, "")] * len(paths), {}
    for i, found in _drawn(masks, np.flatnonzero(there), progress):
        if isinstance(found, Area):
            areas[i] = found
        if labels[i] >= 0 and not annotated[i]:
            bad[i] = "has no mask"
        elif isinstance(found, str):
            bad[i] = found
        elif labels[i] >= 0 and not found.pixels:
            bad[i] = f"{_where(objects[i])}its mask is empty"
    return CheckedMasks(masks, there, areas, bad)


def refuse_bad_masks(bad: Sequence[tuple[str, str]], total: int, on_bad_mask: str) -> None:
    """Refuse images whose mask is missing or cannot be used, or say that they are left out.

    Args:
        bad: name of each image and what is wrong.
        total: how many images there are.
        on_bad_mask: ``"fail"`` or ``"skip"``.

    Raises:
        InputError: if there are such images and `on_bad_mask` is ``"fail"``, or it is neither of the two.

    Warns:
        CalibrantWarning: if they are skipped, with their count and the first of them.
    """
    if on_bad_mask not in POLICIES:
        raise unknown("choice for on_bad_mask", str(on_bad_mask), POLICIES)
    if not bad:
        return
    named = "; ".join(f"{name}: {reason}" for name, reason in bad[:3]) + ("; ..." if len(bad) > 3 else "")
    if on_bad_mask == "fail":
        cure = "repair or add them, or go on without these images (--on-bad-mask skip)"
        raise InputError(f"the masks of {len(bad)} of {total} images cannot be used: {named}; {cure}")
    warnings.warn(
        f"{len(bad)} of {total} images are left out, since their masks cannot be used: {named}",
        CalibrantWarning,
        stacklevel=4,
    )


def _drawn(masks: ObjectMasks, chosen: npt.NDArray[np.int64], progress: bool) -> Iterator[tuple[int, Area | str]]:
    """Area or fault of each chosen mask, in order, on all cores (decoding needs no lock)."""

    def measure(i: int) -> Area | str:
        try:
            mask = masks[i]
        except InputError as error:
            return str(error)
        return Area(int(mask.sum()), float(mask.mean()), digest(np.packbits(mask), list(mask.shape)))

    with ThreadPoolExecutor(os.cpu_count()) as pool, progress_bar("reading masks", len(chosen), progress) as advance:
        for i, found in zip(chosen.tolist(), pool.map(measure, chosen.tolist()), strict=True):
            advance(1)
            yield i, found


def _where(one: Objects | None) -> str:
    return f"{one.where}: " if one is not None else ""
