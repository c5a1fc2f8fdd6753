"""Blur: of focus, of frosted glass, of motion, of a lens that zooms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]
SIDE = 64
_RADIUS = (0.9, 1.3, 1.8, 2.4, 3.1)
_GLASS = ((0.3, 0.7, 1), (0.4, 1.0, 1), (0.5, 1.3, 2), (0.6, 1.7, 2), (0.7, 2.2, 2))
_STREAK = (3.0, 4.5, 6.5, 9.0, 12.0)
_ZOOM = (1.07, 1.13, 1.2, 1.28, 1.36)


def scale(image: Floats) -> float:
    """Length of one pixel of a 64-pixel image in this image."""
    return float(min(image.shape[:2])) / SIDE


def convolve(image: Floats, kernel: Floats) -> Floats:
    """Blur every channel with a kernel that sums to 1; edges are mirrored."""
    result: Floats = ndimage.convolve(image, kernel[:, :, None] / kernel.sum(), mode="reflect")
    return result


def defocus_blur(image: Floats, level: int, generator: np.random.Generator) -> Floats:  # noqa: ARG001
    """Spread every point over a disc with a soft rim."""
    radius = _RADIUS[level] * scale(image)
    y, x = _grid(int(np.ceil(radius)))
    return convolve(image, np.clip(radius + 0.5 - np.hypot(x, y), 0, 1))


def glass_blur(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Blur, move pixels to near places at random, blur again."""
    deviation, reach, rounds = _GLASS[level]
    deviation, reach = deviation * scale(image), reach * scale(image)
    result: Floats = ndimage.gaussian_filter(image, (deviation, deviation, 0))
    for _ in range(rounds):
        places = _places(image) + generator.uniform(-reach, reach, (2, *image.shape[:2]))
        result = sample(result, places)
    blurred: Floats = ndimage.gaussian_filter(result, (deviation, deviation, 0))
    return blurred


def motion_blur(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Drag every point along a line at up to 45 degrees from the horizontal."""
    return convolve(image, streak(_STREAK[level] * scale(image), generator.uniform(-np.pi / 4, np.pi / 4)))


def zoom_blur(image: Floats, level: int, generator: np.random.Generator) -> Floats:  # noqa: ARG001
    """Average the image with enlargements of its centre."""
    factors = np.linspace(1, _ZOOM[level], 8)
    middle = (np.array(image.shape[:2]) - 1)[:, None, None] / 2
    places = _places(image) - middle
    total = sum((sample(image, places / factor + middle) for factor in factors), np.zeros_like(image))
    return total / len(factors)


def streak(length: float, angle: float) -> Floats:
    """Kernel of a line through the centre, one pixel wide, with soft edges."""
    y, x = _grid(int(np.ceil(length / 2)))
    along = np.abs(x * np.cos(angle) + y * np.sin(angle))
    across = np.abs(y * np.cos(angle) - x * np.sin(angle))
    result: Floats = np.clip(length / 2 + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1)
    return result


def sample(image: Floats, places: Floats) -> Floats:
    """Read the image [H, W, C] at places [2, H, W] between pixels; edges are mirrored."""
    channels = [ndimage.map_coordinates(image[..., c], places, order=1, mode="reflect") for c in range(image.shape[2])]
    return np.stack(channels, axis=-1)


def _places(image: Floats) -> Floats:
    return np.indices(image.shape[:2]).astype(np.float64)


def _grid(reach: int) -> tuple[Floats, Floats]:
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float64)
    return y, x
