"""What a heat map looks like, without a mask: spread out or in one place, in the middle or at the border."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Float64
from calibrant.rationality.heat_maps import HeatMaps

STATISTICS = ("entropy", "peak", "concentration", "spread", "off_centre")
TOP = 0.1


def map_statistics(heat_maps: HeatMaps) -> dict[str, Float64]:
    """Describe each map on its own grid, after it was stretched to 0 to 1.

    The values depend on the explainer and its grid: compare them between maps of the same settings only.

    Args:
        heat_maps: of N images.

    Returns:
        Name to float64 [N], NaN where there is no evidence: ``entropy`` of the relevance over the cells of the grid
        over the largest possible one, 0 (all in one cell) to 1 (the same everywhere); ``peak``, how far the largest
        value, which is 1, is above the mean, 0 to 1; ``concentration``, the share of relevance in the most relevant
        tenth of the cells; ``spread``, the root of the mean squared distance of relevance from its centre of gravity,
        and ``off_centre``, the distance of that from the centre of the image, both in sides of the image.

    Example:
        >>> one = HeatMaps([[[0.0, 0.0], [0.0, 5.0]]], ["cat.png"], {})
        >>> {name: round(float(value[0]), 2) for name, value in map_statistics(one).items()}
        {'entropy': 0.0, 'peak': 0.75, 'concentration': 1.0, 'spread': 0.0, 'off_centre': 0.35}
    """
    known = heat_maps.evidence
    flat = heat_maps.maps[known].reshape(int(known.sum()), -1).astype(np.float64)
    flat = flat - flat.min(axis=1, keepdims=True)
    flat /= flat.max(axis=1, keepdims=True)
    share = flat / flat.sum(axis=1, keepdims=True)
    spread, off_centre = _moments(share, heat_maps.maps.shape[1:])
    found = {
        "entropy": _entropy(share),
        "peak": 1 - flat.mean(axis=1),
        "concentration": np.sort(share, axis=1)[:, -max(1, round(TOP * share.shape[1])) :].sum(axis=1),
        "spread": spread,
        "off_centre": off_centre,
    }
    return {name: _spread_out(values, known) for name, values in found.items()}


def _entropy(share: Float64) -> Float64:
    # a cell of no relevance adds nothing; a map with evidence has two cells at least
    bits = share * np.log(np.where(share > 0, share, 1))
    return np.asarray(np.maximum(-bits.sum(axis=1), 0) / np.log(share.shape[1]))


def _moments(share: Float64, grid: tuple[int, ...]) -> tuple[Float64, Float64]:
    """Give the distance of relevance from its centre of gravity, and of that from the centre of the image, [N] each."""
    height, width = grid
    rows, columns = ((np.arange(length) + 0.5) / length - 0.5 for length in (height, width))
    y, x = np.repeat(rows, width), np.tile(columns, height)
    centre = share @ y, share @ x
    squared = share @ (y**2 + x**2) - centre[0] ** 2 - centre[1] ** 2
    return np.sqrt(np.maximum(squared, 0)), np.hypot(*centre)


def _spread_out(values: Float64, known: Any) -> Float64:
    result = np.full(len(known), np.nan)
    result[known] = values
    return result
