"""What stands in the place of pixels that are taken away from an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import unknown

Filling = Literal["mean", "own-mean", "blur"]
_BLUR = 4  # the blurred image consists of about this many patches on a side


def filled(pixels: Tensor, filling: Filling) -> Tensor:
    """Give images that hold no object, to take pixels from in place of those that are removed.

    No filling is neutral: every one of them makes images of a kind that the model never saw, so it is stated with
    every result.

    Args:
        pixels: float [N, 3, H, W], standardised as the model expects it.
        filling: ``"mean"`` (0 everywhere: the mean colour that the model's preprocessing subtracts), ``"own-mean"``
            (the mean colour of each image) or ``"blur"`` (the image seen from so far away that 4 x 4 patches are left).

    Returns:
        [N, 3, H, W].

    Raises:
        InputError: for another filling.

    Example:
        >>> import torch
        >>> filled(torch.ones(1, 3, 8, 8), "own-mean").mean().item()
        1.0
    """
    if filling not in FILLINGS:
        raise unknown("filling", filling, FILLINGS)
    return FILLINGS[filling](pixels)


def _blurred(pixels: Tensor) -> Tensor:
    patches = F.adaptive_avg_pool2d(pixels, _BLUR)
    return F.interpolate(patches, size=pixels.shape[-2:], mode="bilinear", align_corners=False)


FILLINGS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda pixels: pixels.new_zeros(1).expand_as(pixels),
    "own-mean": lambda pixels: pixels.mean(dim=(-2, -1), keepdim=True).expand_as(pixels),
    "blur": _blurred,
}
