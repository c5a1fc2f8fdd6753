"""The one image reader: every picture, in tuning and in use, becomes pixels here and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from calibrant.errors import InputError

PIXEL_LIMIT = 100_000_000
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".avif"}
)
_FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "TIFF", "BMP", "PPM", "JPEG2000", "AVIF")
_PLAIN = frozenset({"1", "L", "P", "RGB", "CMYK", "YCbCr"})
_ALPHA = frozenset({"LA", "La", "PA", "RGBA", "RGBa"})
_TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
CURE = "; replace or remove it"


class BadImageError(InputError):
    """An image file that cannot be used.

    Args:
        path: the file.
        reason: why, with the cure where there is one.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path, self.reason = Path(path), reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True)
class ImageReader:
    """Read an image file as 8-bit RGB, with every decision declared and none taken silently.

    EXIF orientation is applied, transparency is laid on the background, CMYK and palettes are converted, and
    of a camera's multi-picture JPEG the first picture counts. Animations and multi-page files are refused.
    Greyscale of more than 8 bits is scaled by the window; colour of 16 bits per channel keeps its high byte.

    Args:
        window: the values (low, high) of 16-bit and float greyscale that become black and white; 8-bit images
            need none and ignore it.
        background: RGB values, 0 to 255, that show through transparent pixels.
        pixel_limit: width x height above which a file is refused before it is decoded.

    Raises:
        InputError: if an argument makes no sense; on reading, `BadImageError` that names the file.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.new("RGBA", (3, 2), (0, 0, 0, 0)).save(file)
        >>> pixels = ImageReader(background=(255, 0, 0))(file)
        >>> pixels.shape, pixels[0, 0].tolist()
        ((2, 3, 3), [255, 0, 0])
    """

    window: tuple[float, float] | None = None
    background: tuple[int, int, int] = (255, 255, 255)
    pixel_limit: int = PIXEL_LIMIT

    def __post_init__(self) -> None:
        if self.window is not None and not _is_interval(self.window):
            raise InputError(f"window must be two numbers, low below high; got {self.window}")
        if len(self.background) != 3 or not all(0 <= value <= 255 for value in self.background):
            raise InputError(f"background must be three values from 0 to 255; got {self.background}")
        if self.pixel_limit < 1:
            raise InputError(f"pixel_limit must be at least 1; got {self.pixel_limit}")

    def __call__(self, path: str | Path) -> npt.NDArray[np.uint8]:
        """Read one file.

        Args:
            path: the image file.

        Returns:
            uint8 [H, W, 3].

        Raises:
            BadImageError: if the file is missing, damaged, too large, or of a kind that is not read.
        """
        try:
            with Image.open(path, formats=_formats()) as image:
                self._refuse(image, path)
                low_is_white = _low_is_white(image)
                return self._rgb(ImageOps.exif_transpose(image), low_is_white, path)
        except BadImageError:
            raise
        except FileNotFoundError:
            raise BadImageError(path, "there is no such file") from None
        except UnidentifiedImageError:
            raise BadImageError(path, f"not an image of a known format, or damaged{CURE}") from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise BadImageError(
                path, "more pixels than Pillow opens (PIL.Image.MAX_IMAGE_PIXELS); make it smaller"
            ) from None
        except Exception as error:  # on damaged files the decoders raise nearly anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise BadImageError(path, f"cannot be read ({reason}){CURE}") from error

    def _refuse(self, image: Image.Image, path: str | Path) -> None:
        """Refuse from the header alone what must not or cannot be decoded."""
        if image.width * image.height > self.pixel_limit:
            raise BadImageError(
                path,
                f"{image.width} x {image.height} pixels exceed the limit of {self.pixel_limit}; "
                "make the image smaller or raise pixel_limit (--pixel-limit)",
            )
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise BadImageError(
                path, f"{image.format} with {frames} frames or pages; save the one that counts as an image"
            )
        if any("LA;16" in str(tile) for tile in getattr(image, "tile", ())):
            raise BadImageError(path, "16-bit greyscale with alpha is not read; save it without alpha")

    def _rgb(self, image: Image.Image, low_is_white: bool, path: str | Path) -> npt.NDArray[np.uint8]:
        if image.mode in ("I", "F") or image.mode.startswith("I;16"):
            if "transparency" in image.info:
                raise BadImageError(path, "16-bit greyscale with a transparent value is not read; save it without")
            grey = self._windowed(np.asarray(image).astype(np.float64), path)
            return np.repeat((255 - grey if low_is_white else grey)[:, :, None], 3, axis=2)
        if image.mode in _ALPHA or (image.mode in _PLAIN and "transparency" in image.info):
            canvas = Image.new("RGBA", image.size, (*self.background, 255))
            image = Image.alpha_composite(canvas, image.convert("RGBA"))
        elif image.mode not in _PLAIN:
            raise BadImageError(path, f"colour mode {image.mode} is not read; convert the image to RGB")
        return np.array(image.convert("RGB"))

    def _windowed(self, values: npt.NDArray[np.float64], path: str | Path) -> npt.NDArray[np.uint8]:
        infinite = int((~np.isfinite(values)).sum())
        if infinite:
            raise BadImageError(path, f"{infinite} of {values.size} pixels are NaN or infinite")
        span = f"its values run from {values.min():g} to {values.max():g}"
        if self.window is None:
            cure = "declare a window, such as window=(0, 4095), on the command line --window 0,4095"
            raise BadImageError(path, f"greyscale of more than 8 bits ({span}); {cure}")
        low, high = self.window
        outside = int(((values < low) | (values > high)).sum())
        if outside:
            raise BadImageError(
                path,
                f"{outside} of {values.size} pixels lie outside the window {low:g} to {high:g} ({span}); "
                "declare a wider window (--window)",
            )
        return np.rint((values - low) / (high - low) * 255).astype(np.uint8)


def read_image(
    path: str | Path,
    *,
    window: tuple[float, float] | None = None,
    background: tuple[int, int, int] = (255, 255, 255),
    pixel_limit: int = PIXEL_LIMIT,
) -> npt.NDArray[np.uint8]:
    """Read one image file as 8-bit RGB; see `ImageReader`.

    Args:
        path: the image file.
        window: the values (low, high) of 16-bit and float greyscale that become black and white.
        background: RGB values, 0 to 255, behind transparent pixels.
        pixel_limit: width x height above which the file is refused.

    Returns:
        uint8 [H, W, 3].

    Raises:
        InputError: if the file or an argument cannot be used.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.png"
        >>> Image.new("L", (4, 2), 7).save(file)
        >>> read_image(file)[0, 0].tolist()
        [7, 7, 7]
    """
    return ImageReader(window, background, pixel_limit)(path)


@dataclass(frozen=True)
class FileImages:
    """Image files as a sequence of pixels, each read when it is asked for.

    Args:
        paths: N image files.
        reader: how they are read.

    Example:
        >>> len(FileImages(["a.png", "b.png"]))
        2
    """

    paths: Sequence[str | Path]
    reader: ImageReader = ImageReader()

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        return self.reader(self.paths[index])


@cache
def _formats() -> tuple[str, ...]:
    """The formats read, as far as this build of Pillow has them; never those that start other programs."""
    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _is_interval(window: Sequence[float]) -> bool:
    return len(window) == 2 and all(map(math.isfinite, window)) and window[0] < window[1]


def _low_is_white(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO)
