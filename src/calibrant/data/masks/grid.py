"""The pixels that boxes and masks refer to: as they are stored in the file, or turned upright."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image

from calibrant.data.masks.shapes import Mask
from calibrant.errors import unknown

GRIDS = ("stored", "upright")
_UPRIGHT = 1


class Grid(NamedTuple):
    """A grid of pixels, and how what is drawn on it is turned to lie on the upright image.

    Args:
        height: in pixels.
        width: in pixels.
        orientation: 1 to 8, as EXIF counts; 1 is upright.

    Source:
        CIPA DC-008, Exchangeable image file format (Exif) 2.32, tag 274.

    Example:
        >>> Grid(1, 3, 6).upright(np.array([[True, False, False]])).tolist()
        [[True], [False], [False]]
    """

    height: int
    width: int
    orientation: int = _UPRIGHT

    def upright(self, mask: Mask) -> Mask:
        """Turn a mask as the image reader turns the image.

        Args:
            mask: bool [H, W] on this grid.

        Returns:
            bool, [H, W], or [W, H] for orientations 5 to 8.
        """
        if self.orientation in (5, 6, 7, 8):
            mask = mask.T  # then 5 is upright, and 6, 7, 8 are what 2, 3, 4 are
        if self.orientation in (2, 3, 6, 7):
            mask = mask[:, ::-1]
        if self.orientation in (3, 4, 7, 8):
            mask = mask[::-1]
        return np.ascontiguousarray(mask)

    @property
    def turned(self) -> Grid:
        """The grid of the upright image."""
        sides = (self.width, self.height) if self.orientation in (5, 6, 7, 8) else (self.height, self.width)
        return Grid(*sides)


def grid_of(file: str | Path, kind: str = "stored") -> Grid:
    """Read the size and the orientation of an image from its header.

    Args:
        file: an image that can be read.
        kind: ``"stored"``: as the pixels are stored, which EXIF may want to be turned; ``"upright"``: as a viewer
            shows them.

    Returns:
        The grid.

    Raises:
        InputError: for any other kind.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.new("L", (4, 2)).save(path)
        >>> grid_of(path)
        Grid(height=2, width=4, orientation=1)
    """
    if kind not in GRIDS:
        raise unknown("mask_grid", str(kind), GRIDS)
    with Image.open(file) as image:
        orientation = image.getexif().get(ExifTags.Base.Orientation, _UPRIGHT)
        width, height = image.size
        tags = getattr(image, "tag_v2", None)
        if tags is not None:  # the size that Pillow gives for a TIFF may be that of the upright image
            width, height = tags[ExifTags.Base.ImageWidth], tags[ExifTags.Base.ImageLength]
    stored = Grid(height, width, orientation if orientation in range(1, 9) else _UPRIGHT)
    return stored if kind == "stored" else stored.turned
