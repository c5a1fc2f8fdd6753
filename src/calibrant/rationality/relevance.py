"""How much of a heat map lies on the object: relevance mass, and three measures beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.errors import InputError
from calibrant.rationality.heat_maps import AT_ONCE, Bool, as_maps, has_evidence


def relevance_mass(heatmaps: Any, masks: Any) -> Float64:
    """Share of the relevance that lies on the object: sum(H M) / sum(H), with each map H stretched to 0 to 1.

    A map that points nowhere in particular scores the share of the image that the object covers, so a large object
    passes for good evidence; see `area_matched`.

    Args:
        heatmaps: [N, H, W], of the size of the image (`resized`).
        masks: bool [N, H, W], true on the object, after the same resizing and cropping as the image.

    Returns:
        float64 [N], 0 to 1; NaN where a map is constant or not finite, and 0 where the object lies outside the image.

    Raises:
        InputError: if maps and masks are not of equal size, or a mask holds anything but true and false.

    Source: Arras, Osman and Samek, CLEVR-XAI: A benchmark dataset for the ground truth evaluation of neural network
    explanations, 2022 (relevance mass accuracy); the stretching as Wang et al., Beyond Accuracy: On the Effects of
    Fine-tuning Towards Vision-Language Model's Prediction Rationality, AAAI 2025.

    Example:
        >>> relevance_mass([[[3.0, 2.0], [1.0, 1.0]]], [[[True, False], [False, False]]]).round(3)
        array([0.667])
    """

    def mass(stretched: Float64, on: Bool) -> Float64:
        part, whole = (stretched * on).sum(axis=1), stretched.sum(axis=1)
        return np.asarray(np.minimum(part / whole, 1.0))  # rounding may leave a little more than everything

    return _of_each(mass, heatmaps, masks)


def relevance_rank(heatmaps: Any, masks: Any) -> Float64:
    """Share of the K most relevant pixels that lie on the object, where K is how many pixels the object has.

    Args:
        heatmaps: [N, H, W].
        masks: bool [N, H, W].

    Returns:
        float64 [N], 0 to 1. Of pixels that tie for the last place an equal part counts, which is what a random order
        gives on average. NaN where there is no evidence, or no object in the image.

    Raises:
        InputError: as for `relevance_mass`.

    Source: Arras, Osman and Samek 2022 (relevance rank accuracy).

    Example:
        >>> relevance_rank([[[3.0, 2.0], [1.0, 1.0]]], [[[True, False], [True, False]]])
        array([0.5])
    """

    def ranked(stretched: Float64, on: Bool) -> Float64:
        pixels = on.sum(axis=1)
        last = np.sort(stretched, axis=1)[np.arange(len(on)), np.minimum(on.shape[1] - pixels, on.shape[1] - 1)]
        above, tied = stretched > last[:, None], stretched == last[:, None]
        left = (pixels - above.sum(axis=1)) / tied.sum(axis=1)
        hits = (above & on).sum(axis=1) + left * (tied & on).sum(axis=1)
        return np.where(pixels > 0, hits / np.maximum(pixels, 1), np.nan)

    return _of_each(ranked, heatmaps, masks)


def pointing_game(heatmaps: Any, masks: Any) -> Float64:
    """Whether the most relevant pixel lies on the object.

    Args:
        heatmaps: [N, H, W].
        masks: bool [N, H, W].

    Returns:
        float64 [N]: 1 or 0; of several pixels that share the maximum, the part on the object. NaN without evidence.

    Raises:
        InputError: as for `relevance_mass`.

    Source: Zhang et al., Top-down neural attention by excitation backprop, 2018, without its margin of 15 pixels.

    Example:
        >>> pointing_game([[[3.0, 2.0], [1.0, 1.0]]], [[[True, False], [False, False]]])
        array([1.])
    """

    def hit(stretched: Float64, on: Bool) -> Float64:
        top = stretched == stretched.max(axis=1, keepdims=True)
        return np.asarray((top & on).sum(axis=1) / top.sum(axis=1))

    return _of_each(hit, heatmaps, masks)


def best_iou(heatmaps: Any, masks: Any) -> Float64:
    """Largest overlap (intersection over union) of the object with {H >= t}, over all thresholds t.

    The threshold is chosen with the mask at hand, image by image: this says how well a map could be cut out, not how
    well it is.

    Args:
        heatmaps: [N, H, W].
        masks: bool [N, H, W].

    Returns:
        float64 [N], 0 to 1; NaN without evidence.

    Raises:
        InputError: as for `relevance_mass`.

    Source: Choe et al., Evaluating weakly supervised object localization methods right, 2020, with masks.

    Example:
        >>> best_iou([[[3.0, 2.0], [1.0, 1.0]]], [[[True, True], [False, False]]])
        array([1.])
    """

    def overlap(stretched: Float64, on: Bool) -> Float64:
        order = np.argsort(-stretched, axis=1)
        falling = np.take_along_axis(stretched, order, axis=1)
        both = np.cumsum(np.take_along_axis(on, order, axis=1), axis=1)
        either = np.arange(1, on.shape[1] + 1) + on.sum(axis=1, keepdims=True) - both
        # a cut between pixels of equal relevance is none
        ends = np.append(falling[:, :-1] > falling[:, 1:], np.ones((len(on), 1), dtype=bool), axis=1)
        return np.asarray(np.where(ends, both / either, 0.0).max(axis=1))

    return _of_each(overlap, heatmaps, masks)


def object_area(masks: Any) -> Float64:
    """Share of each image that its object covers.

    Args:
        masks: bool [N, H, W].

    Returns:
        float64 [N]; 0 where the object lies outside the image, so that no evidence for it can be valid.

    Raises:
        InputError: if a mask holds anything but true and false.

    Example:
        >>> object_area([[[True, False], [False, False]]])
        array([0.25])
    """
    on = as_masks(masks)
    return np.asarray(on.reshape(len(on), -1).mean(axis=1))


def as_masks(value: Any) -> Bool:
    """Turn a value into masks, bool [N, H, W].

    Args:
        value: true and false, or 1 and 0.

    Returns:
        The masks.

    Raises:
        InputError: if one holds anything else, naming it.
    """
    array = as_maps(value, "masks")
    if array.dtype.kind != "b":
        odd = ~((array == 0) | (array == 1)).all(axis=(1, 2))
        if odd.any():
            raise InputError(
                f"masks hold true on the object and false elsewhere; that of image {odd.argmax()} does not"
            )
    return array.astype(bool, copy=False)


def _of_each(measure: Callable[[Float64, Bool], Float64], heatmaps: Any, masks: Any) -> Float64:
    """Measure stretched maps [n, H * W] against masks, a part at a time; NaN where there is no evidence."""
    maps, on = as_maps(heatmaps, "heat maps"), as_masks(masks)
    if maps.shape != on.shape:
        raise InputError(
            f"heat maps {list(maps.shape)} and masks {list(on.shape)} must be of equal size; see `resized`"
        )
    result = np.full(len(maps), np.nan)
    block = max(1, AT_ONCE // (maps.shape[1] * maps.shape[2]))
    for start in range(0, len(maps), block):
        here = start + np.flatnonzero(has_evidence(maps[start : start + block]))
        if len(here):
            result[here] = measure(_stretched(maps[here]), on[here].reshape(len(here), -1))
    return result


def _stretched(maps: Array) -> Float64:
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    flat -= flat.min(axis=1, keepdims=True)
    flat /= flat.max(axis=1, keepdims=True)
    return flat
