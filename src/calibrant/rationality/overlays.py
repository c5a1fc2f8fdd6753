"""Pictures of heat maps over their images: the image fades to grey, relevance glows on it."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Array, Float64
from calibrant.errors import InputError

Picture = npt.NDArray[np.uint8]

SMALLEST = 192  # pixels of the shorter edge: an image of 64 pixels is hard to judge at its own size
LARGEST = 512  # pixels of the longer edge, unless enlarging needs more
COLOURS = "inferno"  # perceptually uniform; its lightness rises all the way, so it reads without colour vision, too
GAP = 8  # pixels between image and overlay
OUTLINE = 2  # pixels of each of the two lines around an object

# The ground is dark, so that relevance is always the lightest thing, and keeps a little colour: shapes that
# differ in hue only stay apart.
DARKEST, LIGHTEST, SATURATION = 0.06, 0.48, 0.15
# Heat is added to the ground, which steps back more slowly than heat grows lighter: more relevance is lighter on any
# ground, and little relevance spread everywhere, which weighs as much as a spot, tints it.
STEPS_BACK, STRENGTH = 0.75, 0.86


def enlarged(image: Picture, largest: int = LARGEST, name: str = "image") -> Picture:
    """Bring an image to a size at which it can be read.

    Args:
        image: uint8 [H, W, 3].
        largest: pixels of the longer edge above which it is scaled down.
        name: what an error calls it.

    Returns:
        uint8 [H', W', 3]: pixels repeated until the shorter edge has at least 192, a large image scaled down, else
        the image itself.

    Raises:
        InputError: if it is not such an array, or empty.

    Example:
        >>> enlarged(np.zeros((64, 64, 3), np.uint8)).shape, enlarged(np.zeros((900, 600, 3), np.uint8)).shape
        ((192, 192, 3), (512, 341, 3))
    """
    from PIL import Image

    _check_image(image, name)
    height, width = _size(image.shape[:2], largest)
    kind = Image.Resampling.NEAREST if height >= image.shape[0] else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image).resize((width, height), kind))


def overlay(
    image: Picture,
    heat_map: Array,
    *,
    mask: npt.NDArray[np.bool_] | None = None,
    largest: int = LARGEST,
    name: str = "image",
) -> Picture:
    """Draw a heat map over its image.

    Args:
        image: uint8 [H, W, 3], what the model saw: the map covers all of it.
        heat_map: floats [h, w] of any scale, stretched from its smallest to its largest value; where it is constant or
            not finite there is no evidence, and the picture stays without heat.
        mask: bool [H, W], the object, drawn as an outline; None for none.
        largest: pixels of the longer edge, see `enlarged`.
        name: what an error calls the image.

    Returns:
        uint8 [H', W', 3], of the size that `enlarged` gives; image pixels are repeated, the map is interpolated
        bilinearly.

    Raises:
        InputError: if an array has another type or shape, or mask and image differ in size.

    Example:
        >>> picture = overlay(np.full((64, 64, 3), 200, np.uint8), np.eye(8))
        >>> picture.shape, bool(picture[4, 4].sum() > picture[4, -4].sum())
        ((192, 192, 3), True)
    """
    shown = enlarged(image, largest, name)
    heat = _stretched(heat_map, shown.shape[:2], name)
    drawn = _ground(shown)
    if heat is not None:
        drawn = np.minimum(drawn * (1 - STEPS_BACK * heat[..., None]) + STRENGTH * _colours(heat), 1)
    picture = np.rint(drawn * 255).astype(np.uint8)
    return picture if mask is None else _outlined(picture, _check_mask(mask, image, name))


def side_by_side(
    image: Picture,
    heat_map: Array,
    *,
    mask: npt.NDArray[np.bool_] | None = None,
    largest: int = LARGEST,
    name: str = "image",
) -> Picture:
    """Draw an image and, to its right, the same image under its heat map.

    Args:
        image: uint8 [H, W, 3].
        heat_map: floats [h, w], see `overlay`.
        mask: bool [H, W], drawn as an outline over the heat map; None for none.
        largest: pixels of the longer edge of each.
        name: what an error calls the image.

    Returns:
        uint8 [H', 2 W' + 8, 3], with a white gap.

    Raises:
        InputError: as `overlay`.

    Example:
        >>> side_by_side(np.zeros((64, 64, 3), np.uint8), np.eye(8)).shape
        (192, 392, 3)
    """
    shown = enlarged(image, largest, name)
    gap = np.full((shown.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([shown, gap, overlay(image, heat_map, mask=mask, largest=largest, name=name)], axis=1)


def png(picture: Picture) -> bytes:
    r"""Write a picture (uint8 [H, W, 3]) as the bytes of a PNG file.

    Example:
        >>> png(np.zeros((2, 2, 3), np.uint8))[:4]
        b'\x89PNG'
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def jpeg(picture: Picture, quality: int = 85, subsampling: int = 0) -> bytes:
    r"""Write a picture as the bytes of a JPEG file.

    Args:
        picture: uint8 [H, W, 3].
        quality: 1 to 95.
        subsampling: Pillow's: 0 keeps colours as sharp as greys, 2 halves them both ways, for small files.

    Returns:
        The file.

    Example:
        >>> jpeg(np.zeros((2, 2, 3), np.uint8))[:2]
        b'\xff\xd8'
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    return buffer.getvalue()


def legend(steps: int = 9) -> list[str]:
    """Give the colours from little to much relevance, as they appear over a plain image.

    Args:
        steps: how many.

    Returns:
        Colours as a page writes them.

    Example:
        >>> legend(2)
        ['#454548', '#eaec9f']
    """
    ramp = np.linspace(0, 1, steps)[None, :]
    picture = overlay(np.full((SMALLEST, SMALLEST, 3), 128, np.uint8), ramp, largest=LARGEST)
    columns = np.linspace(0, picture.shape[1] - 1, steps).round().astype(int)
    return ["#" + bytes(picture[0, column]).hex() for column in columns]


def _size(shape: tuple[int, ...], largest: int) -> tuple[int, int]:
    height, width = shape
    if min(height, width) < SMALLEST and max(height, width) < largest:
        times = -(-SMALLEST // min(height, width))
        times = max(1, min(times, -(-largest // max(height, width))))
        return height * times, width * times
    scale = min(1.0, largest / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def _ground(picture: Picture) -> Float64:
    """Darken and fade an image, its darkest and lightest places always equally far apart."""
    colour = picture / 255
    grey = colour @ np.array([0.299, 0.587, 0.114])
    low, high = np.quantile(grey, [0.01, 0.99])
    faded = grey[..., None] * (1 - SATURATION) + colour * SATURATION
    spread = max(high - low, 0.35)  # a plain image stays plain: its noise is not blown up
    stretched = (faded - (low + high) / 2) / spread + 0.5
    result: Float64 = DARKEST + (LIGHTEST - DARKEST) * np.clip(stretched, 0, 1)
    return result


def _stretched(heat_map: Array, size: tuple[int, ...], name: str) -> Float64 | None:
    from PIL import Image

    if heat_map.ndim != 2 or heat_map.size == 0 or heat_map.dtype.kind not in "iuf":
        raise InputError(f"{name}: a heat map must be numbers [h, w], not {heat_map.dtype} {list(heat_map.shape)}")
    if not np.isfinite(heat_map).all() or np.ptp(heat_map) == 0:
        return None
    # stretched before it is interpolated, too: tiny values would drown in the single precision of Pillow
    values = _unit(heat_map.astype(np.float64)).astype(np.float32)
    return _unit(np.asarray(Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR), np.float64))


def _unit(values: Float64) -> Float64:
    scaled: Float64 = (values - values.min()) / np.ptp(values)
    return scaled


def _colours(heat: Float64) -> Float64:
    import matplotlib

    return np.asarray(matplotlib.colormaps[COLOURS](heat)[..., :3], np.float64)


def _outlined(picture: Picture, mask: npt.NDArray[np.bool_]) -> Picture:
    """Draw a white line just inside the object and a black one just outside: one of them stands out anywhere."""
    from PIL import Image
    from scipy.ndimage import binary_dilation, binary_erosion

    size = (picture.shape[1], picture.shape[0])
    inside = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    result = picture.copy()
    result[binary_dilation(inside, iterations=OUTLINE) & ~inside] = 0
    result[inside & ~binary_erosion(inside, iterations=OUTLINE, border_value=1)] = 255
    return result


def _check_image(image: Picture, name: str) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(f"{name}: expected an image uint8 [height, width, 3], not {image.dtype} {list(image.shape)}")


def _check_mask(mask: npt.NDArray[np.bool_], image: Picture, name: str) -> npt.NDArray[np.bool_]:
    if mask.dtype != np.bool_ or mask.shape != image.shape[:2]:
        raise InputError(
            f"{name}: expected a mask bool {list(image.shape[:2])} as large as the image, "
            f"not {mask.dtype} {list(mask.shape)}"
        )
    return mask
