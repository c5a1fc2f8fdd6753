"""What papers on tuning argue with besides calibration errors: how features lie, and how far logits are apart."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from calibrant.arrays import Float64, as_floats, as_matrix
from calibrant.errors import InputError, unknown
from calibrant.metrics.scores import accuracy, mean_confidence

Distance = Literal["euclidean", "cosine"]
DISTANCES = ("euclidean", "cosine")
NEIGHBOURS = 5


def feature_divergence(text_features: Any, neighbours: int | None = None, distance: Distance = "euclidean") -> float:
    """How far the text features of a class list lie apart (FD): the mean distance to the M nearest, over classes.

    It grows when tuning spreads the classes; the logits spread with it, and confidence rises. The paper states neither
    M nor the distance, so both are named wherever this is shown.

    Args:
        text_features: [C, D], one row per class.
        neighbours: M, from 1 to C - 1; by default 5, or C - 1 where there are fewer.
        distance: ``"euclidean"``, or ``"cosine"`` (one minus the cosine of the angle).

    Returns:
        0 to 2 for rows of unit norm.

    Raises:
        InputError: if there is a single class, M does not fit, or a row is zero where its angle is asked for.

    Source: Wang et al., Open-vocabulary calibration for fine-tuned CLIP (DOR), definition 3.1.

    Example:
        >>> feature_divergence([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0]], neighbours=2, distance="cosine")
        1.3333333333333333
    """
    rows = as_floats(text_features, "text features", (None, None)).astype(np.float64)
    others = len(rows) - 1
    if others < 1:
        raise InputError("the feature divergence needs at least two classes")
    nearest = min(NEIGHBOURS, others) if neighbours is None else neighbours
    if not 1 <= nearest <= others:
        raise InputError(f"neighbours must be from 1 to {others}, one fewer than classes, not {nearest}")
    if distance not in DISTANCES:
        raise unknown("distance", distance, DISTANCES)
    total = 0.0
    for index, row in enumerate(rows):
        apart = _distances(row, rows, distance)
        apart[index] = np.inf
        total += float(np.partition(apart, nearest - 1)[:nearest].mean())
    return total / len(rows)


def _distances(row: Float64, rows: Float64, distance: Distance) -> Float64:
    if distance == "euclidean":
        return np.asarray(np.linalg.norm(rows - row, axis=1))
    norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(row)
    if not norms.all():
        raise InputError("a text feature is zero and has no direction")
    return np.asarray(1 - rows @ row / norms)


def logit_gap(logits: Any) -> float:
    """Mean difference between the largest and the second largest logit, the source of confidence.

    Args:
        logits: [N, C], C at least 2.

    Returns:
        0 or more, in units of logits.

    Raises:
        InputError: if there is a single class or a logit is not finite.

    Source: Wang et al., Open-vocabulary calibration for fine-tuned CLIP (DOR), section 3.

    Example:
        >>> logit_gap([[3.0, 1.0, 0.0], [2.0, 2.0, 0.0]])
        1.0
    """
    z = as_matrix(logits, "logits")
    top = np.partition(z, -2, axis=1)[:, -2:].astype(np.float64)
    return float((top[:, 1] - top[:, 0]).mean())


def signed_gap(probs: Any, labels: Any) -> float:
    """Mean confidence minus accuracy: above 0 a model is too sure on average, below 0 not sure enough.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        -1 to 1; its size is the calibration error with a single bin.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> signed_gap([[0.75, 0.25], [0.75, 0.25]], [0, 1])
        0.25
    """
    return mean_confidence(probs) - accuracy(probs, labels)


def smallest_singular_value(features: Any) -> float:
    """Smallest singular value of Z'Z/N, where Z holds the features, standardised column by column.

    It is the smallest eigenvalue of their correlation matrix, by which CaRot's bound on the calibration error under
    shift divides. With no more samples than dimensions Z'Z is singular: its smallest value that need not be 0 is
    given, the min(N - 1, D)-th largest, which depends on N.

    Args:
        features: [N, D], N at least 2.

    Returns:
        0 to D / min(N - 1, D); 0 where the features fill fewer dimensions. A constant column counts as 0.

    Raises:
        InputError: if there is a single sample or a value is not finite.

    Source: Oh et al., Towards calibrated robust fine-tuning of vision-language models (CaRot), 2024, theorem 3; what
    exactly its figure 6 standardises is not published.

    Example:
        >>> round(smallest_singular_value([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]), 4)
        1.0
    """
    x = as_floats(features, "features", (None, None)).astype(np.float64)
    if len(x) < 2:
        raise InputError("singular values of standardised features need at least two samples")
    centred, deviation = x - x.mean(axis=0), x.std(axis=0)
    # rounding leaves a constant column a deviation of a few units in the last place
    varies = deviation > 1e-12 * np.abs(x).max(axis=0)
    z = np.where(varies, centred / np.where(varies, deviation, 1), 0)
    descending = np.linalg.svd(z, compute_uv=False)
    smallest = descending[min(len(x) - 1, x.shape[1]) - 1]
    # features that fill fewer dimensions than they have leave rounding there, which means nothing
    return 0.0 if smallest <= descending[0] * max(x.shape) * np.finfo(x.dtype).eps else float(smallest**2 / len(x))
