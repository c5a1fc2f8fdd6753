"""How close images are to those that a calibrator was fitted on."""

from __future__ import annotations

from calibrant.arrays import Array, Float64
from calibrant.calibration.needed_fields import needed_fields
from calibrant.errors import InputError
from calibrant.metrics.proximity import proximity
from calibrant.predictions import Predictions


def features_to_keep(predictions: Predictions, k: int, name: str) -> Array:
    """Give the image features of the samples that a calibrator is fitted on.

    Args:
        predictions: N samples with image features [N, D].
        k: neighbours.
        name: the calibrator, for the error.

    Returns:
        [N, D], a copy.

    Raises:
        InputError: if there are no image features or only one sample, or k is no positive integer.
    """
    if not isinstance(k, int) or isinstance(k, bool) or k < 1:
        raise InputError(f"k of calibrator '{name}' must be a positive integer, not {k!r}")
    (features,) = needed_fields(predictions, ("image_features",), name)
    if len(features) < 2:
        raise InputError(f"calibrator '{name}' compares each image with others, so it needs at least two samples")
    return features.copy()


def proximity_among(features: Array, k: int) -> Float64:
    """Tell how close each image is to the others, itself left out as it will be for images to come.

    Args:
        features: [N, D], at least two.
        k: neighbours; with fewer others all of them.

    Returns:
        exp of minus the mean distance to the k nearest others, float64 [N].

    Example:
        >>> import numpy as np
        >>> proximity_among(np.array([[0.0], [1.0], [3.0]]), k=1).round(3)
        array([0.368, 0.368, 0.135])
    """
    k = min(k, len(features) - 1)
    # the nearest of all is the image itself, at distance 0: the mean over k + 1 is the mean over k, times k / (k + 1)
    return proximity(features, features, k + 1) ** ((k + 1) / k)


def proximity_to(predictions: Predictions, reference: Array, k: int, name: str) -> Float64:
    """Tell how close each sample is to images that were kept; one of these finds itself, at distance 0.

    Args:
        predictions: N samples with image features [N, D].
        reference: [R, D].
        k: neighbours; with fewer images all of them.
        name: the calibrator, for the error.

    Returns:
        exp of minus the mean distance to the k nearest, float64 [N].

    Raises:
        InputError: if there are no image features, or they are of another length.
    """
    (features,) = needed_fields(predictions, ("image_features",), name)
    if features.shape[1] != reference.shape[1]:
        raise InputError(
            f"calibrator '{name}' was fitted on image features of length {reference.shape[1]}, "
            f"and these have {features.shape[1]}"
        )
    return proximity(features, reference, min(k, len(reference)))
