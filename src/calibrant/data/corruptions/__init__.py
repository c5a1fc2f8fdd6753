"""The fifteen corruptions of ImageNet-C, for small images.

Source: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations, ICLR 2019. The formulas follow the paper's descriptions; strengths are set for images of 64
pixels a side, and lengths grow with the shorter side. Frost is grown by a formula where the paper lays
photographs of frost over the image, and glass blur moves all pixels at once where the paper swaps them one
after another: figures are comparable among sets made here, not with ImageNet-C.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from calibrant.data.corruptions import blur, digital, noise, weather
from calibrant.errors import InputError, unknown

Floats = npt.NDArray[np.float64]
_KINDS: dict[str, Callable[[Floats, int, np.random.Generator], Floats]] = {
    "gaussian_noise": noise.gaussian_noise,
    "shot_noise": noise.shot_noise,
    "impulse_noise": noise.impulse_noise,
    "defocus_blur": blur.defocus_blur,
    "glass_blur": blur.glass_blur,
    "motion_blur": blur.motion_blur,
    "zoom_blur": blur.zoom_blur,
    "snow": weather.snow,
    "frost": weather.frost,
    "fog": weather.fog,
    "brightness": weather.brightness,
    "contrast": digital.contrast,
    "elastic_transform": digital.elastic_transform,
    "pixelate": digital.pixelate,
    "jpeg_compression": digital.jpeg_compression,
}
CORRUPTIONS: tuple[str, ...] = tuple(_KINDS)


def corrupt(image: npt.NDArray[np.uint8], kind: str, severity: int, seed: int) -> npt.NDArray[np.uint8]:
    """Corrupt an image as ImageNet-C does.

    Args:
        image: uint8 [H, W, 3], at least 16 pixels a side.
        kind: one of `CORRUPTIONS`.
        severity: 1 (weak) to 5 (strong).
        seed: a whole number from 0; the same seed, kind and severity draw the same corruption.

    Returns:
        uint8 [H, W, 3].

    Raises:
        InputError: for an unknown kind, with the nearest known one; for a severity outside 1 to 5; for
            anything that is not such an image.

    Source:
        Hendrycks and Dietterich, ICLR 2019, section 3.

    Example:
        >>> grey = np.full((64, 64, 3), 128, np.uint8)
        >>> noisy = corrupt(grey, "gaussian_noise", 1, seed=0)
        >>> noisy.shape, bool((noisy != grey).any())
        ((64, 64, 3), True)
    """
    if kind not in _KINDS:
        raise unknown("corruption", kind, CORRUPTIONS)
    if severity not in range(1, 6):
        raise InputError(f"severity must be 1, 2, 3, 4 or 5; got {severity}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape[:2]) < 16:
        raise InputError(f"a uint8 image [H, W, 3] of 16 pixels or more is needed; got {image.dtype} {image.shape}")
    generator = np.random.Generator(np.random.Philox(key=[seed, zlib.crc32(kind.encode()) * 8 + severity]))
    result = _KINDS[kind](image / 255.0, severity - 1, generator)
    return np.rint(np.clip(result, 0, 1) * 255).astype(np.uint8)
