"""RandAugment: strong random changes of an image, for methods that compare two views of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from calibrant.models.preprocessing import Pixels, Preprocessing

Change = Callable[[Image.Image, float], Image.Image]
HIGHEST = 30
"""The magnitude at which every change is at its strongest."""


def _sheared(image: Image.Image, x: float, y: float) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, (1, x, 0, y, 1, 0))


def _moved(image: Image.Image, x: float, y: float) -> Image.Image:
    width, height = image.size
    return image.transform(image.size, Image.Transform.AFFINE, (1, 0, x * width, 0, 1, y * height))


# each takes an image and a strength from -1 to 1; where a sign means nothing the change ignores it
CHANGES: dict[str, Change] = {
    "identity": lambda image, _: image,
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
    "rotate": lambda image, strength: image.rotate(30 * strength),
    "solarize": lambda image, strength: ImageOps.solarize(image, round(256 * (1 - abs(strength)))),
    "posterize": lambda image, strength: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
    "color": lambda image, strength: ImageEnhance.Color(image).enhance(1 + 0.9 * strength),
    "contrast": lambda image, strength: ImageEnhance.Contrast(image).enhance(1 + 0.9 * strength),
    "brightness": lambda image, strength: ImageEnhance.Brightness(image).enhance(1 + 0.9 * strength),
    "sharpness": lambda image, strength: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * strength),
    "shear_x": lambda image, strength: _sheared(image, 0.3 * strength, 0),
    "shear_y": lambda image, strength: _sheared(image, 0, 0.3 * strength),
    "translate_x": lambda image, strength: _moved(image, 0.3 * strength, 0),
    "translate_y": lambda image, strength: _moved(image, 0, 0.3 * strength),
}


def rand_augment(image: Pixels, draw: np.random.Generator, operations: int = 2, magnitude: float = 10) -> Pixels:
    """Apply randomly chosen changes, one after the other, all of the same strength.

    Args:
        image: uint8 [H, W, 3].
        draw: the random numbers: which changes, and the sign of each.
        operations: how many changes.
        magnitude: from 0 to 30.

    Returns:
        uint8 [H, W, 3]; what a shift or a rotation uncovers is black.

    Source: Cubuk, Zoph, Shlens, Le (2020). RandAugment: practical automated data augmentation with a reduced search
    space. CVPR workshops. Strengths at the highest magnitude: 30 degrees, factors 0.1 and 1.9, shears and shifts of
    0.3, 4 bits fewer, solarized from grey level 0 on.

    Example:
        >>> rand_augment(np.zeros((8, 8, 3), np.uint8), np.random.default_rng(0)).shape
        (8, 8, 3)
    """
    changed = Image.fromarray(image)
    names = list(CHANGES)
    for number, sign in zip(draw.integers(len(names), size=operations), draw.integers(2, size=operations), strict=True):
        changed = CHANGES[names[number]](changed, (2 * int(sign) - 1) * magnitude / HIGHEST)
    return np.asarray(changed)


def view(
    pixels: Tensor, draw: np.random.Generator, preprocessing: Preprocessing, operations: int, magnitude: float
) -> Tensor:
    """Give one randomly changed view of each image of a batch.

    Args:
        pixels: float32 [N, 3, H, W], standardised as `preprocessing` does.
        draw: the random numbers.
        preprocessing: knows mean and standard deviation.
        operations: changes of each image.
        magnitude: from 0 to 30.

    Returns:
        float32 [N, 3, H, W], standardised.
    """
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (preprocessing.mean, preprocessing.std))
    grey = (255 * (pixels * std + mean)).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    views = [rand_augment(np.ascontiguousarray(image), draw, operations, magnitude) for image in grey]
    return torch.stack([preprocessing.normalise(image) for image in views])
