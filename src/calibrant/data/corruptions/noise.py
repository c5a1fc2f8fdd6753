"""Noise: of electronics, of light, of broken pixels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_DEVIATION = (0.04, 0.06, 0.09, 0.13, 0.18)
_PHOTONS = (250, 110, 55, 28, 14)
_BROKEN = (0.01, 0.02, 0.045, 0.08, 0.14)


def gaussian_noise(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Add normal noise, as electronics do in low light."""
    return image + generator.normal(0, _DEVIATION[level], image.shape)


def shot_noise(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Count photons: a Poisson draw whose mean is the brightness."""
    return generator.poisson(image * _PHOTONS[level]) / _PHOTONS[level]


def impulse_noise(image: Floats, level: int, generator: np.random.Generator) -> Floats:
    """Turn a share of all values to black or white, as broken bits do."""
    broken = generator.random(image.shape) < _BROKEN[level]
    return np.where(broken, generator.integers(0, 2, image.shape), image)
