"""How near an image lies to others."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Float64, as_floats
from calibrant.errors import InputError

TABLE = 2**22  # distances that are held at a time: 32 MB, and as much again for what is added to them


def proximity(features: Any, reference: Any, k: int = 10) -> Float64:
    """How near each image lies to the k nearest images of a reference set: exp(-mean Euclidean distance).

    Args:
        features: image features [N, D], usually of unit norm.
        reference: image features [R, D] of the set whose density is meant, for instance the validation images. An image
            that is in it finds itself, at distance 0.
        k: how many neighbours, from 1 to R.

    Returns:
        float64 [N], above 0 and at most 1; 1 where all neighbours coincide with the image.

    Raises:
        InputError: if a feature is not finite, the two have different lengths, or k does not fit.

    Source: Xiong et al., Proximity-informed calibration for deep neural networks, 2023.

    Example:
        >>> proximity([[0.0, 0.0]], [[3.0, 4.0], [0.0, 0.0], [9.0, 9.0]], k=2).round(4)
        array([0.0821])
    """
    x = as_floats(features, "features", (None, None))
    others = as_floats(reference, "reference features", (None, None))
    if x.shape[1] != others.shape[1]:
        raise InputError(f"features have {x.shape[1]} values but reference features {others.shape[1]}")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= len(others):
        raise InputError(f"k must be from 1 to {len(others)}, the number of reference features, not {k!r}")
    # squares are taken around the middle, so that features far from 0 lose no digits
    middle = others.mean(axis=0, dtype=np.float64)
    y = others - middle
    squares = np.einsum("rd,rd->r", y, y)
    distance = np.empty(len(x))
    step = max(1, TABLE // max(y.shape))
    for start in range(0, len(x), step):
        block = x[start : start + step] - middle
        apart = block @ y.T
        apart *= -2
        apart += squares
        apart += np.einsum("nd,nd->n", block, block)[:, None]
        apart.partition(k - 1, axis=1)
        distance[start : start + step] = np.sqrt(np.maximum(apart[:, :k], 0)).mean(axis=1)
    return np.exp(-distance)
