"""Do explainers agree? The rank correlation of their maps, image by image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.stats import rankdata

from calibrant.arrays import Array, Float64
from calibrant.errors import InputError
from calibrant.rationality.heat_maps import HeatMaps, as_maps, resized


def rank_correlation(one: Array, other: Array) -> Float64:
    """Correlate the ranks of two maps of the same image.

    Args:
        one: [N, h, w].
        other: [N, H, W], of the same images; the coarser map is brought to the grid of the finer one.

    Returns:
        float64 [N], from -1 to 1; NaN where a map is constant or not finite.

    Raises:
        InputError: if there are not as many maps of one kind as of the other.

    Source: Spearman (1904), "The proof and measurement of association between two things".

    Example:
        >>> maps = np.arange(4.0).reshape(1, 2, 2)
        >>> rank_correlation(maps, maps**3), rank_correlation(maps, -maps)
        (array([1.]), array([-1.]))
    """
    first, second = as_maps(one, "heat maps"), as_maps(other, "heat maps")
    if len(first) != len(second):
        raise InputError(f"{len(first)} heat maps cannot be correlated with {len(second)}")
    size = max(first.shape[1], second.shape[1]), max(first.shape[2], second.shape[2])
    ranks = [_centred_ranks(maps, size) for maps in (first, second)]
    length = [np.sqrt(np.square(rank).sum(axis=1)) for rank in ranks]
    product = length[0] * length[1]
    # a constant map has no order
    safe = np.where(product > 0, product, np.nan)
    found: Float64 = (ranks[0] * ranks[1]).sum(axis=1) / safe
    return found


def _centred_ranks(maps: Array, size: tuple[int, int]) -> Float64:
    """Give mean-free ranks [N, h * w]; NaN where a map is not finite."""
    whole = maps if maps.shape[1:] == size else resized(maps, size)
    flat = np.asarray(whole, dtype=np.float64).reshape(len(whole), -1)
    ranks: Float64 = rankdata(flat, axis=1)
    ranks[~np.isfinite(flat).all(axis=1)] = np.nan
    centred: Float64 = ranks - ranks.mean(axis=1, keepdims=True)
    return centred


def agreement(explained: Mapping[str, HeatMaps]) -> dict[tuple[str, str], Float64]:
    """Correlate the maps of every two explainers.

    Explainers that all point at the object agree; where they do not, no single one should be believed for that image.

    Args:
        explained: the maps of M explainers by any name, all of the same images.

    Returns:
        For every pair of names, in the order given: the rank correlation of every image, float64 [N], in the order of
        the first explainer.

    Raises:
        InputError: if two explainers explained other images, naming them.

    Example:
        >>> maps = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
        >>> one, other = (HeatMaps(sign * maps, ["a", "b"], {}) for sign in (1, -1))
        >>> agreement({"one": one, "other": other})
        {('one', 'other'): array([-1., -1.])}
    """
    names = list(explained)
    aligned: dict[str, Array] = {}
    for name in names:
        first = explained[names[0]]
        position = {image: at for at, image in enumerate(explained[name].ids)}
        missing = [image for image in first.ids if image not in position]
        if missing or len(position) != len(first.ids):
            odd = missing[0] if missing else next(image for image in position if image not in set(first.ids))
            raise InputError(f"'{names[0]}' and '{name}' explain different images; only one of them has '{odd}'")
        aligned[name] = explained[name].maps[[position[image] for image in first.ids]]
    return {
        (one, other): rank_correlation(aligned[one], aligned[other])
        for at, one in enumerate(names)
        for other in names[at + 1 :]
    }
