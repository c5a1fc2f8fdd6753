"""Digital damage: flat contrast, rubber sheets, coarse pixels, strong compression."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from calibrant.data.corruptions.blur import sample, scale

Floats = npt.NDArray[np.float64]
_CONTRAST = (0.65, 0.5, 0.37, 0.25, 0.14)
_ELASTIC = ((1.0, 0.02), (1.5, 0.03), (2.0, 0.045), (2.6, 0.06), (3.3, 0.075))
_WIDTH = 4.0
_CELLS = (0.6, 0.5, 0.4, 0.32, 0.25)
_QUALITY = (50, 35, 24, 16, 10)


def contrast(image: Floats, level: int, generator: np.random.Generator) -> Floats:  # noqa: ARG001
    """Move every value towards the mean of its channel."""
    mean = image.mean(axis=(0, 1))
    result: Floats = mean + (image - mean) * _CONTRAST[level]
    return result


def elastic_transform(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Stretch the image like a rubber sheet: a random affine map and a smooth random displacement."""
    amplitude, skew = _ELASTIC[level]
    size = np.array(image.shape[:2])
    middle = (size - 1)[:, None, None] / 2
    places = np.indices(image.shape[:2]) - middle
    affine = np.eye(2) + generator.uniform(-skew, skew, (2, 2))
    field = generator.normal(size=(2, *size))
    field = ndimage.gaussian_filter(field, (0, _WIDTH * scale(image), _WIDTH * scale(image)), mode="reflect")
    field *= amplitude * scale(image) / field.std()
    return sample(image, np.einsum("ij,jhw->ihw", affine, places) + middle + field)


def pixelate(image: Floats, level: int, generator: np.random.Generator) -> Floats:  # noqa: ARG001
    """Show the image with fewer, larger pixels."""
    height, width = image.shape[:2]
    # the number of cells a side goes by 64 pixels, so that large images get equally coarse
    cells = _CELLS[level] / scale(image)
    small = _image(image).resize((max(1, round(width * cells)), max(1, round(height * cells))), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST)) / 255.0


def jpeg_compression(image: Floats, level: int, generator: np.random.Generator) -> Floats:  # noqa: ARG001
    """Write and read the image as a JPEG of low quality."""
    file = io.BytesIO()
    _image(image).save(file, "JPEG", quality=_QUALITY[level])
    return np.asarray(Image.open(file)) / 255.0


def _image(image: Floats) -> Image.Image:
    return Image.fromarray(np.rint(image * 255).astype(np.uint8))
