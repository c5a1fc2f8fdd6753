"""Masks that are pictures: white on black, one value on 0, or the mean of several annotators."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from calibrant.data.masks.shapes import Mask
from calibrant.errors import InputError

_FORMATS = ("PNG", "BMP", "GIF", "TIFF", "PPM", "JPEG")
_GREY = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L"})


@dataclass(frozen=True)
class MaskFile:
    """A picture of one object.

    With two values, one of which is 0, what is not 0 is the object. With more, such as after smoothing or JPEG
    compression, it is what has at least half of white. Pictures that are neither, such as numbered objects or
    transparency, are refused, as nobody can tell which part is meant.

    Args:
        file: the picture.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.fromarray(np.array([[0, 1], [0, 0]], np.uint8)).save(file)
        >>> MaskFile(file).draw(2, 2).tolist()
        [[False, True], [False, False]]
    """

    file: Path

    def draw(self, height: int, width: int) -> Mask:
        """Read the picture.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.

        Returns:
            bool [H, W].

        Raises:
            InputError: if the file cannot be read, has another size or does not say what the object is.
        """
        values, white = _read(self.file, height, width)
        lowest, highest = values.min(), values.max()
        if np.all((values == 0) | (values == highest)):
            return values > 0
        if white is None or highest < white / 2 or lowest >= white / 2:
            raise InputError(
                f"mask {self.file} has values other than 0 and one more ({lowest:g} to {highest:g}); "
                "save it as white on black"
            )
        return values >= white / 2


@dataclass(frozen=True)
class AnnotatorMean:
    """A picture whose grey level is the share of annotators who saw the object there, as in CUB-200-2011.

    A pixel belongs to the object if at least half of them say so: grey level 128 of 255 or more.

    Args:
        file: the picture.

    Source:
        Farrell, CUB-200-2011 Segmentations, CaltechDATA 2022. The half is our rule; the source states none.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.fromarray(np.array([[51, 102, 153, 204]], np.uint8)).save(file)
        >>> AnnotatorMean(file).draw(1, 4).tolist()
        [[False, False, True, True]]
    """

    file: Path

    def draw(self, height: int, width: int) -> Mask:
        """Read the picture.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.

        Returns:
            bool [H, W].

        Raises:
            InputError: if the file cannot be read or has another size.
        """
        values, white = _read(self.file, height, width, with_alpha=True)
        return values >= (255 if white is None else white) / 2


def _read(file: Path, height: int, width: int, *, with_alpha: bool = False) -> tuple[npt.NDArray[Any], float | None]:
    """Read grey levels as they are stored, and which of them is white; None for a palette, whose values are numbers."""
    try:
        with Image.open(file, formats=_FORMATS) as picture:
            _refuse_size(file, picture.size, height, width)
            mode = picture.mode
            if not with_alpha and (mode in ("LA", "PA", "RGBA") and picture.getchannel("A").getextrema()[0] != 255):
                raise InputError(f"mask {file} is partly transparent; save it as white on black")
            values = np.array(picture if mode in _GREY else picture.convert("L"))
    except FileNotFoundError:
        raise InputError(f"there is no mask {file}") from None
    except InputError:
        raise
    except Exception as error:  # on damaged files the decoders raise nearly anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"mask {file} cannot be read ({reason})") from error
    _refuse_size(file, values.shape[::-1], height, width)  # a TIFF may turn while it is read
    return values, None if mode == "P" else 1.0 if mode == "1" else 65535.0 if mode.startswith("I") else 255.0


def _refuse_size(file: Path, size: tuple[int, ...], height: int, width: int) -> None:
    if size != (width, height):
        raise InputError(f"mask {file} has {size[0]} x {size[1]} pixels, but the image has {width} x {height}")
