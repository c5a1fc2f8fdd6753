"""What calibrators of the top label share: which answers were right, and rows that keep them under a new confidence."""

from __future__ import annotations

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.calibration.calibrator import given_labels
from calibrant.predictions import Predictions

BELOW = 1 - 1e-12
"""How much of the confidence of the answer another class may reach."""
NOTHING = 1e-300
"""What is added to other classes, the largest being 1, so that those of 0 share alike if there is something left."""


def answers_of(predictions: Predictions) -> Int64:
    """Name the answer of each sample.

    Args:
        predictions: N samples.

    Returns:
        int64 [N], the class of the largest logit, the first of several.

    Example:
        >>> answers_of(Predictions(logits=[[1.0, 2.0], [1.0, 1.0]]))
        array([1, 0])
    """
    answers: Int64 = predictions.logits.argmax(axis=1)
    return answers


def confidence_and_correctness(predictions: Predictions, name: str) -> tuple[Float64, Float64]:
    """Tell how sure each answer was, and whether it was right.

    Args:
        predictions: N samples with labels.
        name: the calibrator, for the error.

    Returns:
        The probability of the answer, float64 [N], and 1 for right or 0 for wrong, float64 [N].

    Raises:
        InputError: if there are no labels, or a sample belongs to none of the classes.

    Example:
        >>> confidence_and_correctness(Predictions(logits=[[0.0, 0.0]], labels=[1]), "spline")
        (array([0.5]), array([0.]))
    """
    labels, answers = given_labels(predictions, name), answers_of(predictions)
    confidence = predictions.probabilities()[np.arange(len(predictions)), answers]
    return confidence, (answers == labels).astype(np.float64)


def with_confidence(probabilities: Float64, answers: Int64, confidence: Float64) -> Float64:
    """Give each answer a new confidence; the other classes share the rest in their old proportions.

    The answer stays the answer: none of the others gets more than it, and what they would get beyond goes to the rest
    of them. So no confidence is below 1 / C, which an answer cannot have.

    Args:
        probabilities: float64 [N, C], rows sum to 1.
        answers: int64 [N].
        confidence: from 0 to 1, float64 [N].

    Returns:
        float64 [N, C]; rows sum to 1.

    Example:
        >>> with_confidence(np.array([[0.5, 0.3, 0.2], [0.6, 0.4, 0.0]]), np.array([0, 0]), np.array([0.7, 0.4]))
        array([[0.7 , 0.18, 0.12], [0.4 , 0.4 , 0.2 ]])
    """
    rows, classes = np.arange(len(probabilities)), probabilities.shape[1]
    top = np.clip(confidence, 1 / classes, 1.0)
    others = probabilities.copy()
    others[rows, answers] = 0.0
    largest = others.max(axis=1, keepdims=True)
    others = others / np.where(largest > 0, largest, 1.0) + NOTHING
    others[rows, answers] = 0.0
    shared: Float64 = others * ((1 - top) / others.sum(axis=1))[:, None]
    too_much = np.flatnonzero(shared.max(axis=1) > BELOW * top)
    shared[too_much] = _capped(others[too_much], BELOW * top[too_much], 1 - top[too_much])
    shared[rows, answers] = 1 - shared.sum(axis=1)
    return shared


def keep_answers(probabilities: Float64, answers: Int64) -> Float64:
    """Undo what rounding did to answers of a map that keeps them in exact arithmetic.

    Args:
        probabilities: float64 [N, C].
        answers: int64 [N].

    Returns:
        float64 [N, C]; where another class was level with the answer, the answer is the next larger number.

    Example:
        >>> keep_answers(np.array([[0.5, 0.5]]), np.array([1])).argmax(axis=1)
        array([1])
    """
    rows = np.flatnonzero(probabilities.argmax(axis=1) != answers)
    kept: Float64 = probabilities.copy()
    kept[rows, answers[rows]] = np.nextafter(probabilities[rows].max(axis=1), 2.0)
    return kept


def _capped(weights: Float64, most: Float64, total: Float64) -> Float64:
    """Share a total in proportion to weights, but nobody gets more than the most."""
    order = np.argsort(-weights, axis=1)
    falling: Array = np.take_along_axis(weights, order, axis=1)
    # with the first k at the cap, the others share what is left; the right k is the first where the next is below it
    left = total[:, None] - most[:, None] * np.arange(weights.shape[1])
    behind = np.cumsum(falling[:, ::-1], axis=1)[:, ::-1]
    # if all are at the cap, the scale is without bound
    scale = np.divide(left, behind, out=np.full_like(left, np.finfo(np.float64).max), where=behind > 0)
    first = (falling * scale <= most[:, None]).argmax(axis=1)
    rows = np.arange(len(weights))
    capped: Float64 = np.minimum(weights * scale[rows, first][:, None], most[:, None])
    return capped
