"""Where an explainer points in each image: maps on its own grid, with what is needed to compare and to join them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Array, Float64, Int64, as_array
from calibrant.errors import InputError
from calibrant.predictions import Predictions
from calibrant.predictions.checks import names
from calibrant.storage import atomic_write

Float32 = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

KEY = "calibrant.heat_maps"
FORMAT = 1
AT_ONCE = 2**22  # values that are resized together, so that float64 copies of a large set are never held at once


@dataclass(frozen=True, eq=False)
class HeatMaps:
    """The maps of N images by one explainer.

    Args:
        maps: float32 [N, h, w] on the explainer's own grid (patches or pixels), as it gave them, not normalised.
        ids: N unique names of the images.
        settings: how they were made (explainer, score, layers, target, precision, model ...); anything that JSON can
            hold.

    Attributes:
        evidence: bool [N], False where a map is constant or not finite: it points nowhere, "no evidence".

    Raises:
        InputError: if the shapes do not fit, an id is empty or occurs twice, or `settings` holds what JSON cannot.

    Example:
        >>> found = HeatMaps([[[0.0, 1.0]], [[2.0, 2.0]]], ["cat.png", "dog.png"], {"explainer": "rollout"})
        >>> found.evidence
        array([ True, False])
    """

    maps: Float32
    ids: list[str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    evidence: Bool = field(init=False)

    def __post_init__(self) -> None:
        maps = as_maps(self.maps, "heat maps").astype(np.float32, copy=False)
        ids = names(self.ids, "id")
        if len(ids) != len(maps):
            raise InputError(f"there are {len(maps)} heat maps but {len(ids)} ids")
        try:
            json.dumps(dict(self.settings), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(f"the settings of heat maps must hold only what JSON can hold ({error})") from error
        checked = {"maps": maps, "ids": ids, "settings": dict(self.settings), "evidence": has_evidence(maps)}
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self.maps)

    def subset(self, indices: Any) -> HeatMaps:
        """Choose some of the images.

        Args:
            indices: positions, int [M], or bool [N].

        Returns:
            Their maps, in that order.

        Raises:
            InputError: if nothing is chosen, or a position does not exist.
        """
        chosen = as_array(indices, "the subset")
        if chosen.dtype.kind == "b" and chosen.shape == (len(self),):
            chosen = np.flatnonzero(chosen)
        if chosen.ndim != 1 or chosen.size == 0 or chosen.dtype.kind not in "iu":
            raise InputError(f"a subset of {len(self)} heat maps needs positions, or one true or false for each")
        if chosen.min() < -len(self) or chosen.max() >= len(self):
            raise InputError(
                f"a subset of {len(self)} heat maps cannot hold position {chosen[np.abs(chosen).argmax()]}"
            )
        return HeatMaps(self.maps[chosen], [self.ids[position] for position in chosen], self.settings)

    def joined(self, predictions: Predictions) -> HeatMaps:
        """Bring the maps into the order of predictions of the same images.

        Args:
            predictions: with ids.

        Returns:
            The same maps in the order of ``predictions.ids``.

        Raises:
            InputError: if the predictions have no ids, or are not of the same images, naming one that only one has.
        """
        if predictions.ids is None:
            raise InputError("the predictions have no ids, by which heat maps could be joined to them")
        position = {name: at for at, name in enumerate(self.ids)}
        for there, here, what in ((predictions.ids, position, "heat map"), (self.ids, predictions.ids, "prediction")):
            if missing := sorted(set(there).difference(here)):
                raise InputError(f"{len(missing)} images have no {what}, such as '{missing[0]}'")
        return self.subset([position[name] for name in predictions.ids])

    def save(self, path: str | Path) -> None:
        """Write the maps to a safetensors file, whole or not at all.

        Args:
            path: the file.

        Raises:
            InputError: if it cannot be written.
        """
        from safetensors.numpy import save_file

        text = json.dumps({"format": FORMAT, "ids": self.ids, "settings": self.settings}, sort_keys=True)
        with atomic_write(path) as temporary:
            save_file({"maps": np.ascontiguousarray(self.maps)}, temporary, {KEY: text})

    @classmethod
    def load(cls, path: str | Path) -> HeatMaps:
        """Read maps from a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The maps.

        Raises:
            InputError: if the file is missing, truncated, of a newer format, or holds no heat maps.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), framework="numpy") as file:
                head = json.loads((file.metadata() or {}).get(KEY, "null"))
                maps = file.get_tensor("maps") if head else None
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}") from error
        except (SafetensorError, ValueError) as error:
            raise InputError(f"{path} is truncated or holds no heat maps: {error}") from error
        if head is None or maps is None:
            raise InputError(f"{path} holds no heat maps")
        if head["format"] > FORMAT:
            raise InputError(f"{path} was written by a newer Calibrant (format {head['format']}); upgrade to read it")
        return cls(maps, head["ids"], head["settings"])


def as_maps(value: Any, name: str) -> Array:
    """Turn a value into numbers [N, h, w]; NaN and infinities are left, since they say "no evidence".

    Args:
        value: anything `as_array` takes.
        name: what the error calls it.

    Returns:
        The array.

    Raises:
        InputError: if it is no such array, or has no image or no pixel.

    Example:
        >>> as_maps([[[0, 1]]], "heat maps").shape
        (1, 1, 2)
    """
    array = as_array(value, name)
    if array.ndim != 3 or array.size == 0 or array.dtype.kind not in "biuf":
        raise InputError(f"{name} must be numbers [N, height, width], not {array.dtype} {list(array.shape)}")
    return array


def has_evidence(maps: Array) -> Bool:
    """Say which maps [N, h, w] point somewhere: bool [N], False where a map is constant or not finite."""
    flat = maps.reshape(len(maps), -1)
    low, high = flat.min(axis=1), flat.max(axis=1)  # a NaN anywhere is the smallest and the largest value
    result: Bool = np.isfinite(low) & np.isfinite(high) & (low < high)
    return result


def resized(maps: Any, size: tuple[int, int]) -> Float32:
    """Enlarge maps to the size of the image, bilinearly with corners not aligned.

    The values are those of torch's ``interpolate(mode="bilinear", align_corners=False)``. A constant map stays exactly
    constant, so that rounding does not turn it into evidence.

    Args:
        maps: [N, h, w].
        size: H and W, in pixels.

    Returns:
        float32 [N, H, W]; a map that is not finite somewhere is NaN everywhere.

    Raises:
        InputError: if `maps` are no maps, or the size is not positive.

    Example:
        >>> resized([[[0.0, 1.0]]], (1, 4))
        array([[[0.  , 0.25, 0.75, 1.  ]]], dtype=float32)
    """
    given = as_maps(maps, "heat maps")
    height, width = size
    if height < 1 or width < 1:
        raise InputError(f"heat maps cannot be resized to {height} x {width} pixels")
    rows, columns = _neighbours(given.shape[1], height), _neighbours(given.shape[2], width)
    result = np.empty((len(given), height, width), dtype=np.float32)
    block = max(1, AT_ONCE // (height * max(width, given.shape[2])))
    for start in range(0, len(given), block):
        some = given[start : start + block].astype(np.float64)
        some[~np.isfinite(some).all(axis=(1, 2))] = np.nan
        result[start : start + block] = _between(_between(some, rows, 1), columns, 2)
    return result


def _neighbours(old: int, new: int) -> tuple[Int64, Int64, Float64]:
    """For each new pixel along one side: the two old ones that its centre lies between, and how far it is along."""
    place = np.maximum((np.arange(new) + 0.5) * (old / new) - 0.5, 0)
    first = np.minimum(place.astype(np.int64), old - 1)
    return first, np.minimum(first + 1, old - 1), place - first


def _between(maps: Float64, neighbours: tuple[Int64, Int64, Float64], axis: int) -> Float64:
    first, second, along = neighbours
    one, other = maps.take(first, axis), maps.take(second, axis)
    other -= one
    other *= along[:, None] if axis == 1 else along
    one += other
    return one


def same_settings(
    one: HeatMaps | Mapping[str, Any], other: HeatMaps | Mapping[str, Any], but: Collection[str] = ()
) -> None:
    """Refuse to compare maps that were made differently.

    Args:
        one: maps, or their settings.
        other: the same of another model.
        but: settings that may differ, such as ``("model",)`` where models of two backbones are compared on purpose.

    Raises:
        InputError: naming every setting that differs, with both values.

    Example:
        >>> same_settings({"score": "cosine"}, {"score": "head"})
        Traceback (most recent call last):
        calibrant.errors.InputError: heat maps made differently cannot be compared: score is 'cosine' and 'head'
    """
    first, second = (dict(maps.settings if isinstance(maps, HeatMaps) else maps) for maps in (one, other))
    keys: Sequence[str] = sorted((first.keys() | second.keys()) - set(but))
    # JSON makes lists of tuples; maps that were read from a file are not different for that
    differing = [key for key in keys if json.dumps(first.get(key)) != json.dumps(second.get(key))]
    if differing:
        said = ", ".join(f"{key} is {first.get(key)!r} and {second.get(key)!r}" for key in differing)
        raise InputError(f"heat maps made differently cannot be compared: {said}")
