"""DAC: less confidence where tuning moved the predicted class away from the classes that were tuned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.calibration.calibrator import LogitCalibrator
from calibrant.calibration.needed_fields import needed_fields
from calibrant.errors import InputError
from calibrant.predictions import Predictions

SAME_CLASS = 0.05
"""A class whose tuned text feature lies closer than this to one of a base class counts as a base class."""
ENTRIES = 2**22  # of the table of distances at a time: 32 MB


class DistanceAware(LogitCalibrator):
    """Logits times a weight of the predicted class, which says how far tuning moved it from the base classes (DAC).

    With d(c) the mean Euclidean distance of the text feature of class c to the k nearest text features of base
    classes, the weight of c is

        exp(d_zero-shot(c) - d_tuned(c)), and 1 if its nearest base class, tuned, is closer than 0.05.

    Both distances have neighbours of their own. A class that tuning pushed away gets a weight below 1 and with it less
    confidence, one that it pulled closer gets more; base classes, and everything else where tuning left the text
    features alone, keep theirs. All logits of a sample are multiplied by the same number, so no answer changes.

    Nothing is fitted: the weights follow from the text features, for whatever class list the predictions have. Labels
    are not read. With fewer than k base classes all of them are neighbours.

    Args:
        k: neighbours, at least 1.

    Attributes:
        class_weights_: float64 [C], of the class list that it was last fitted or used on.

    Source: Wang et al., Open-Vocabulary Calibration for Fine-tuned CLIP, ICML 2024 (k and the 0.05 as in the released
    code).

    Example:
        >>> tuned, before = [[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], [[1.0, 0.0], [0.0, 1.0], [0.6, -0.8]]
        >>> new = Predictions(
        ...     logits=[[0.0, 1.0, 3.0]],
        ...     text_features=tuned,
        ...     zero_shot_text_features=before,
        ...     base_text_features=tuned[:2],
        ...     zero_shot_base_text_features=before[:2],
        ... )
        >>> DistanceAware(k=1).fit(new).class_weights(new).round(3)
        array([1.   , 1.   , 0.595])
    """

    name: ClassVar[str] = "dac"
    source: ClassVar[str] = "Wang et al., Open-Vocabulary Calibration for Fine-tuned CLIP, 2024"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = (
        "text_features",
        "zero_shot_text_features",
        "base_text_features",
        "zero_shot_base_text_features",
    )

    class_weights_: Float64
    _features: list[Array]
    _neighbours: int

    def __init__(self, k: int = 5) -> None:
        self.k = k

    def class_weights(self, predictions: Predictions) -> Float64:
        """Compute the weight of every class of the list at hand.

        Args:
            predictions: with the text features [C, D] of its classes and [B, D] of the base classes, before and after
                tuning; rows of any norm but 0.

        Returns:
            float64 [C], positive.

        Raises:
            InputError: if text features are missing or zero, or k is no positive integer.
        """
        if not isinstance(self.k, int) or isinstance(self.k, bool) or self.k < 1:
            raise InputError(f"k of calibrator 'dac' must be a positive integer, not {self.k!r}")
        features = needed_fields(predictions, self.reads, self.name)
        if not self._known(features):
            directions = [_directions(matrix, field) for matrix, field in zip(features, self.reads, strict=True)]
            self.class_weights_ = _weights(directions, self.k)
            self._features, self._neighbours = [matrix.copy() for matrix in features], self.k
        return self.class_weights_.copy()

    def sample_weights(self, predictions: Predictions) -> Float64:
        """Give every sample the weight of its predicted class.

        Args:
            predictions: N samples, with text features as for `class_weights`.

        Returns:
            float64 [N], positive.

        Raises:
            InputError: as for `class_weights`.
        """
        weights: Float64 = self.class_weights(predictions)[predictions.logits.argmax(axis=1)]
        return weights

    def transform(self, predictions: Predictions) -> Predictions:
        """Weight the logits and keep the weights beside them.

        Args:
            predictions: N samples, with text features as for `class_weights`.

        Returns:
            The same samples with new logits, float64 [N, C], and the column ``dac_weight`` [N].

        Raises:
            InputError: as for `class_weights`.
        """
        weighted = super().transform(predictions)
        return replace(weighted, columns={**weighted.columns, "dac_weight": self.sample_weights(predictions)})

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        self.class_weights(predictions)

    def _logits(self, predictions: Predictions) -> Float64:
        weighted: Float64 = self.sample_weights(predictions)[:, None] * predictions.logits.astype(np.float64)
        return weighted

    def _known(self, features: list[Array]) -> bool:
        """Whether the last weights were those of the same features: images come in batches, their classes stay."""
        if not hasattr(self, "_features") or self._neighbours != self.k:
            return False
        return all(np.array_equal(old, new) for old, new in zip(self._features, features, strict=True))


def _weights(directions: list[Float64], k: int) -> Float64:
    """The weight of every class, from unit vectors in the order of `DistanceAware.reads`."""
    tuned, zero_shot, base_tuned, base_zero_shot = directions
    weights = np.ones(len(tuned))
    mean_tuned, nearest_tuned = _distances(tuned, base_tuned, k)
    new = nearest_tuned >= SAME_CLASS
    if new.any():
        mean_zero_shot, _ = _distances(zero_shot[new], base_zero_shot, k)
        weights[new] = np.exp(mean_zero_shot - mean_tuned[new])
    return weights


def _distances(rows: Float64, others: Float64, k: int) -> tuple[Float64, Float64]:
    """For every unit vector the mean Euclidean distance to the k nearest of others, and to the very nearest."""
    k = min(k, len(others))
    means, nearest = np.empty(len(rows)), np.empty(len(rows))
    at_once = max(1, ENTRIES // len(others))
    for start in range(0, len(rows), at_once):
        part = slice(start, start + at_once)
        distances = np.sqrt(np.maximum(2 - 2 * _largest(rows[part] @ others.T, k), 0))
        means[part], nearest[part] = distances.mean(axis=1), distances[:, 0]
    return means, nearest


def _largest(cosines: Float64, k: int) -> Float64:
    """The k largest of every row, the largest first; for few of them much faster than a partition."""
    rows, largest = np.arange(len(cosines)), np.empty((len(cosines), k))
    for rank in range(k):
        at = cosines.argmax(axis=1)
        largest[:, rank] = cosines[rows, at]
        cosines[rows, at] = -np.inf
    return largest


def _directions(features: Array, field: str) -> Float64:
    rows = features.astype(np.float64)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if not norms.all():
        raise InputError(
            f"calibrator 'dac' compares directions, and {field} has none in row {np.argmin(norms)}: it is 0"
        )
    directions: Float64 = rows / norms
    return directions
