"""How close images are to those that a calibrator was fitted on."""

from __future__ import annotations

import numpy as np

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


def nearness(features: Array, reference: Array, k: int) -> Float64:
    """Tell how close each image is to others; one that is among them does not count as its own neighbour.

    So a sample of the fit seems no closer to the fit than an image to come would in its place.

    Args:
        features: [N, D].
        reference: [R, D], at least two.
        k: neighbours; with fewer images all of them.

    Returns:
        exp of minus the mean Euclidean distance to the k nearest others, float64 [N].

    Example:
        >>> nearness(np.array([[0.0], [2.0]]), np.array([[0.0], [1.0], [3.0]]), k=2).round(3)
        array([0.135, 0.368])
    """
    known = {hash(row.tobytes()) for row in reference}
    itself = np.array([hash(row.tobytes()) in known for row in features.astype(reference.dtype)])
    close = np.empty(len(features))
    if not itself.all():
        close[~itself] = proximity(features[~itself], reference, min(k, len(reference)))
    if itself.any():
        others = min(k, len(reference) - 1)
        # the nearest of all is the image, at distance 0: the mean over k + 1 is the mean over k, times k / (k + 1)
        close[itself] = proximity(features[itself], reference, others + 1) ** ((others + 1) / others)
    return close


def nearness_of(predictions: Predictions, reference: Array, k: int, name: str) -> Float64:
    """Tell how close each sample is to the images that a calibrator kept.

    Args:
        predictions: N samples with image features [N, D].
        reference: [R, D].
        k: neighbours.
        name: the calibrator, for the error.

    Returns:
        As `nearness`, float64 [N].

    Raises:
        InputError: if there are no image features, or they are of another length.
    """
    (features,) = needed_fields(predictions, ("image_features",), name)
    if features.shape[1] != reference.shape[1]:
        raise InputError(
            f"calibrator '{name}' was fitted on image features of length {reference.shape[1]}, "
            f"and these have {features.shape[1]}"
        )
    return nearness(features, reference, k)
