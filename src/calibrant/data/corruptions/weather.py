"""Weather: snow, frost on the window, fog, glare."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from calibrant.data.corruptions.blur import convolve, scale, streak

Floats = npt.NDArray[np.float64]
_FLAKES = ((0.010, 0.10, 2.5), (0.015, 0.18, 3.0), (0.022, 0.26, 3.5), (0.027, 0.34, 4.0), (0.033, 0.42, 4.5))
_ICE = (0.3, 0.42, 0.54, 0.66, 0.78)
_FOG = (0.25, 0.38, 0.5, 0.62, 0.75)
_GLARE = (0.1, 0.2, 0.3, 0.4, 0.5)
_ICE_COLOUR = np.array([0.82, 0.91, 1.0])
_GREY = np.array([0.299, 0.587, 0.114])


def snow(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Whiten the scene and let flakes fall in streaks, in one layer and its mirror image."""
    density, whitening, length = _FLAKES[level]
    area = scale(image) ** 2  # fewer and larger flakes in larger images, so that they cover as much
    flakes = (generator.random(image.shape[:2]) < density / area).astype(np.float64)
    flakes = ndimage.gaussian_filter(flakes, 0.5 * scale(image)) * 2 * area
    fall = streak(length * scale(image), generator.uniform(np.pi / 4, 3 * np.pi / 4))
    layer = convolve(flakes[:, :, None], fall) * 2
    pale = np.maximum(image, (image @ _GREY)[:, :, None] * 1.5 + 0.5)
    result: Floats = (1 - whitening) * image + whitening * pale + layer + layer[::-1, ::-1]
    return result


def frost(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Cover the image with procedural ice, thickest at the edges: crystals are the ridges of fractal noise.

    The paper lays photographs of frosted windows over the image; this needs none.
    """
    height, width = image.shape[:2]
    ridges = 1 - np.abs(2 * fractal(height, width, 1.6, generator) - 1)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
    edge = np.clip(np.maximum(np.abs(x), np.abs(y)), 0.35, 1)
    cover = np.clip(_ICE[level] * (0.35 + ridges**3) * (0.5 + edge) * 1.2, 0, 0.95)[:, :, None]
    texture = (0.75 + 0.25 * fractal(height, width, 0.8, generator))[:, :, None]
    result: Floats = (1 - cover) * image + cover * texture * _ICE_COLOUR
    return result


def fog(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Mix the image with white mist whose density is fractal noise."""
    density = _FOG[level] * (0.6 + 0.6 * fractal(image.shape[0], image.shape[1], 2.2, generator))
    cover = np.clip(density, 0, 0.95)[:, :, None]
    return (1 - cover) * image + cover * 0.9


def brightness(image: Floats, level: int, generator: np.random.Generator) -> Floats:  # noqa: ARG001
    """Raise the value of hue, saturation, value."""
    value = image.max(axis=2, keepdims=True)
    raised = np.minimum(value + _GLARE[level], 1)
    result: Floats = np.where(value > 0, image * raised / np.maximum(value, 1e-9), raised)
    return result


def fractal(height: int, width: int, roughness: float, generator: np.random.Generator) -> Floats:
    """Noise [H, W] whose amplitude falls with frequency to the power of `roughness`, from 0 to 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(generator.normal(size=(height, width))) * frequency**-roughness
    noise = np.fft.irfft2(spectrum, (height, width))
    result: Floats = (noise - noise.min()) / np.ptp(noise)
    return result
