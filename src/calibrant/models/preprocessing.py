"""From an image to the numbers a model reads: the test transform, and the random crop of training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from calibrant.errors import InputError, unknown
from calibrant.storage import digest

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_RESAMPLING = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
_RESIZE_MODES = ("shortest", "longest", "squash")

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


def draws(seed: int, purpose: str, *position: int) -> np.random.Generator:
    """Give the random numbers that belong to one place of one computation.

    Args:
        seed: the seed of the run.
        purpose: what the numbers are for, such as ``"augmentation"``; purposes do not share numbers.
        position: where in the computation: step and index, or view and index.

    Returns:
        A generator that depends on nothing but the arguments.

    Example:
        >>> draws(1, "augmentation", 5, 2).random() == draws(1, "augmentation", 5, 2).random()
        True
        >>> draws(1, "augmentation", 5, 2).random() == draws(1, "augmentation", 5, 3).random()
        False
    """
    key = int(digest(seed, purpose, list(position))[:32], 16)
    return np.random.Generator(np.random.Philox(key=key))


@dataclass(frozen=True)
class Augmentation:
    """How a training image is cropped and flipped.

    Args:
        scale: the smallest and largest part of the image's area that a crop keeps.
        ratio: the smallest and largest width over height of a crop.
        flip: how often the image is mirrored, from 0 to 1.

    Example:
        >>> Augmentation().scale
        (0.9, 1.0)
    """

    scale: tuple[float, float] = (0.9, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise InputError(f"crop scale {self.scale} must be two rising numbers in (0, 1]")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise InputError(f"crop ratio {self.ratio} must be two rising positive numbers")
        if not 0 <= self.flip <= 1:
            raise InputError(f"flip {self.flip} must lie between 0 and 1")

    def crop(self, height: int, width: int, draw: np.random.Generator) -> tuple[int, int, int, int]:
        """Draw a crop as Inception training does (Szegedy et al. 2015), in the bounds torchvision uses.

        Args:
            height: of the image, in pixels.
            width: of the image, in pixels.
            draw: the random numbers.

        Returns:
            Top, left, height and width of the crop, in pixels.

        Example:
            >>> Augmentation(scale=(1, 1), ratio=(1, 1)).crop(8, 8, draws(0, "example"))
            (0, 0, 8, 8)
        """
        for u_area, u_ratio, u_top, u_left in draw.random((10, 4)):
            area = height * width * (self.scale[0] + u_area * (self.scale[1] - self.scale[0]))
            low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
            ratio = math.exp(low + u_ratio * (high - low))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return int(u_top * (height - h + 1)), int(u_left * (width - w + 1)), h, w
        # an elongated image rarely holds such a crop: take the largest central one with a permitted ratio
        w = min(width, round(height * self.ratio[1]))
        h = min(height, round(width / self.ratio[0]))
        return (height - h) // 2, (width - w) // 2, h, w


@dataclass(frozen=True)
class Preprocessing:
    """What a model expects of its images; the fields are open_clip's.

    Args:
        size: height and width that the model reads, in pixels.
        mean: of the three channels, for values in 0 to 1.
        std: of the three channels.
        interpolation: ``"bicubic"`` or ``"bilinear"``.
        resize_mode: ``"shortest"`` edge to size and centre crop, ``"longest"`` edge to size and pad, or
            ``"squash"``.
        fill_color: grey level of the padding, 0 to 255.

    Example:
        >>> image = np.zeros((80, 100, 3), np.uint8)
        >>> Preprocessing((64, 64)).test(image).shape
        torch.Size([3, 64, 64])
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    interpolation: str = "bicubic"
    resize_mode: str = "shortest"
    fill_color: int = 0

    def __post_init__(self) -> None:
        if self.interpolation not in _RESAMPLING:
            raise unknown("interpolation", self.interpolation, _RESAMPLING)
        if self.resize_mode not in _RESIZE_MODES:
            raise unknown("resize mode", self.resize_mode, _RESIZE_MODES)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Preprocessing:
        """Read open_clip's ``preprocess_cfg``.

        Args:
            config: any of the fields; ``size`` may be one number; what is missing keeps its default.

        Returns:
            The preprocessing.

        Example:
            >>> Preprocessing.from_config({"size": 64}).size
            (64, 64)
        """
        fields = {key: value for key, value in config.items() if key in cls.__dataclass_fields__ and value is not None}
        for key, count in (("size", 2), ("mean", 3), ("std", 3)):
            if key in fields:
                value = fields[key]
                fields[key] = tuple(value) if isinstance(value, list | tuple) else (value,) * count
        if fields.get("interpolation") == "random":  # open_clip reads it so at test time
            fields["interpolation"] = "bicubic"
        return cls(**fields)

    def to_config(self) -> dict[str, Any]:
        """Give the fields as JSON can hold them.

        Returns:
            What `from_config` reads.
        """
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def test(self, image: Pixels) -> torch.Tensor:
        """Prepare an image for prediction, as open_clip does.

        Args:
            image: uint8 [H, W, 3].

        Returns:
            float32 [3, *size].

        Raises:
            InputError: if the image is not uint8 [H, W, 3].
        """
        return self.normalise(self.seen(image))

    def seen(self, image: Pixels) -> Pixels:
        """Show the part of an image that the model sees, as large as it sees it.

        Args:
            image: uint8 [H, W, 3].

        Returns:
            uint8 [*size, 3].

        Raises:
            InputError: if the image is not uint8 [H, W, 3].

        Example:
            >>> Preprocessing((64, 64)).seen(np.zeros((480, 640, 3), np.uint8)).shape
            (64, 64, 3)
        """
        _check(image)
        # an image that already has the size needs no Pillow at all
        return image if image.shape[:2] == self.size else self._resized(image)

    def mask(self, mask: Mask) -> Mask:
        """Carry an object mask to the pixels that the model reads, by the nearest pixel; padding is not of the object.

        Args:
            mask: bool [H, W], in the image's own pixels.

        Returns:
            bool [*size]: empty if the crop keeps nothing of the object, or if it is thinner than the pixels of the
            model.

        Raises:
            InputError: if the mask is not bool [H, W].

        Example:
            >>> object_at_the_left = np.zeros((64, 128), bool)
            >>> object_at_the_left[:, :40] = True
            >>> Preprocessing((64, 64)).mask(object_at_the_left).sum(axis=1)[0]
            np.int64(8)
        """
        _check_mask(mask)
        if mask.shape == self.size:
            return mask.copy()
        new = self._resized_to(mask.shape[0], mask.shape[1])
        resized = np.asarray(Image.fromarray(mask.astype(np.uint8)).resize(new[::-1], Image.Resampling.NEAREST))
        return np.array(self._centred(resized, 0) == 1)

    def share_kept(self, mask: Mask) -> float:
        """Say how much of an object the crop keeps.

        Args:
            mask: bool [H, W], in the image's own pixels.

        Returns:
            The share of the object's area that the model sees, from 0 to 1; NaN if there is no object.

        Raises:
            InputError: if the mask is not bool [H, W].

        Example:
            >>> object_at_the_left = np.zeros((64, 128), bool)
            >>> object_at_the_left[:, :40] = True
            >>> Preprocessing((64, 64)).share_kept(object_at_the_left)
            0.2
        """
        _check_mask(mask)
        if not mask.any():
            return math.nan
        new = self._resized_to(mask.shape[0], mask.shape[1])
        rows, columns = map(_visible_parts, mask.shape, new, self.size)
        return float(rows @ mask @ columns / mask.sum())

    def train(self, image: Pixels, draw: np.random.Generator, augmentation: Augmentation) -> torch.Tensor:
        """Prepare an image for training: a random crop, perhaps mirrored.

        Args:
            image: uint8 [H, W, 3].
            draw: the random numbers, see `draws`.
            augmentation: what may be drawn.

        Returns:
            float32 [3, *size].

        Raises:
            InputError: if the image is not uint8 [H, W, 3].
        """
        _check(image)
        top, left, height, width = augmentation.crop(image.shape[0], image.shape[1], draw)
        crop = image[top : top + height, left : left + width]
        if (height, width) != self.size:
            crop = np.asarray(Image.fromarray(crop).resize(self.size[::-1], _RESAMPLING[self.interpolation]))
        return self.normalise(crop[:, ::-1] if draw.random() < augmentation.flip else crop)

    def normalise(self, image: Pixels) -> torch.Tensor:
        """Turn grey levels into standardised values.

        Args:
            image: uint8 [H, W, 3].

        Returns:
            float32 [3, H, W].
        """
        # operation by operation what torchvision does, so that the values are its values
        x = torch.from_numpy(np.array(image.transpose(2, 0, 1), order="C")).to(torch.float32).div_(255)
        return x.sub_(torch.tensor(self.mean).view(3, 1, 1)).div_(torch.tensor(self.std).view(3, 1, 1))

    def _resized(self, image: Pixels) -> Pixels:
        return self._centred(self._resample(image, self._resized_to(*image.shape[:2])), self.fill_color)

    def _resized_to(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of an image after it is resized and before it is cropped or padded."""
        if self.resize_mode == "squash":
            return self.size
        ratios = height / self.size[0], width / self.size[1]
        if self.resize_mode == "longest":
            ratio = max(ratios)
            return max(1, round(height / ratio)), max(1, round(width / ratio))
        if self.size[0] == self.size[1]:  # truncation, not rounding: torchvision's way with one number
            short, size = min(height, width), self.size[0]
            return (size, int(size * width / short)) if height <= width else (int(size * height / short), size)
        ratio = min(ratios)
        return round(height / ratio), round(width / ratio)

    def _resample(self, image: Pixels, size: tuple[int, int]) -> Pixels:
        if image.shape[:2] == size:
            return image
        return np.asarray(Image.fromarray(image).resize(size[::-1], _RESAMPLING[self.interpolation]))

    def _centred(self, image: Pixels, fill: int) -> Pixels:
        """Crop or pad [H, W, ...] to the model's size about the centre."""
        short = [max(0, want - have) for want, have in zip(self.size, image.shape[:2], strict=True)]
        if any(short):
            pads = [(s // 2, (s + 1) // 2) for s in short] + [(0, 0)] * (image.ndim - 2)
            image = np.pad(image, pads, constant_values=fill)
        top, left = (round((have - want) / 2) for want, have in zip(self.size, image.shape[:2], strict=True))
        return image[top : top + self.size[0], left : left + self.size[1]]


def _visible_parts(side: int, new: int, wanted: int) -> npt.NDArray[np.float64]:
    """How much of each pixel of a side lies in the central crop of its resized side, float64 [side], 0 to 1."""
    first = max(0, round((new - wanted) / 2))
    low, high = first * side / new, min(first + wanted, new) * side / new
    pixel = np.arange(side)
    inside: npt.NDArray[np.float64] = np.minimum(pixel + 1, high) - np.maximum(pixel, low)
    return inside.clip(0, 1)


def _check_mask(mask: Mask) -> None:
    if mask.ndim != 2 or mask.dtype != np.bool_:
        raise InputError(f"a mask must be bool [H, W], but this one is {mask.dtype} {list(mask.shape)}")


def _check(image: Pixels) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"an image must be uint8 [H, W, 3], but this one is {image.dtype} {list(image.shape)}")
