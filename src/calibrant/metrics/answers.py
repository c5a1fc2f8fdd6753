"""The confidence and correctness of the answers: all that a top-label metric needs of [N, C], in one pass over it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Array, Float64, Int64, as_array, as_labels, as_matrix, row_sum_tolerance
from calibrant.metrics import on_device
from calibrant.metrics.scores import checked, top_label

VALUES = 2**17  # how many are read at a time: few enough to stay in the processor's cache from one step to the next


def answers(probs: Any, labels: Any) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Check probabilities and reduce them to the confidence and correctness of the answers.

    A torch tensor on another device is checked and reduced there; only the result leaves it.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        The largest probability, float64 [N], and whether its class is the label, bool [N]; ties go to the lowest
        index.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> answers([[0.75, 0.25], [0.5, 0.5]], [0, 1])
        (array([0.75, 0.5 ]), array([ True, False]))
    """
    value = _matrix(probs, "probabilities")
    found = None if value is None else _of_probabilities(value, row_sum_tolerance(value))
    if found is None:
        # something looks wrong: the thorough check names it, or finds it right after all
        return top_label(*checked(probs, labels))
    confidence, answer = found
    return confidence, answer == as_labels(labels, *value.shape)


def answers_from_logits(logits: Any, labels: Any) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Check logits and reduce them to the confidence and correctness of the answers, without the whole softmax.

    Exponentials have the precision of the logits, at least float32; their sums have float64.

    Args:
        logits: finite numbers [N, C].
        labels: class indices [N].

    Returns:
        The largest probability, float64 [N], and whether its class is the label, bool [N]; ties go to the lowest
        index.

    Raises:
        InputError: if a logit is not finite, or a label is no class.

    Example:
        >>> answers_from_logits([[1000.0, 1000.0], [0.0, 2000.0]], [0, 0])
        (array([0.5, 1. ]), array([ True, False]))
    """
    value = _matrix(logits, "logits")
    found = None if value is None else _of_logits(value)
    if found is None:
        z = as_matrix(logits, "logits")
        found = _of_logits(z)
        assert found is not None  # these are finite
        value = z
    confidence, answer = found
    return confidence, answer == as_labels(labels, *value.shape)


def _matrix(value: Any, name: str) -> Any:
    """Take a floating-point array or tensor [N, C] as it is; anything else is left to the thorough check."""
    array = value if hasattr(value, "detach") else as_array(value, name)
    is_matrix = array.ndim == 2 and array.shape[0] >= 1 and array.shape[1] >= 2
    return array if is_matrix and "float" in str(array.dtype) and "float8" not in str(array.dtype) else None


def _blocks(value: Any) -> Iterator[tuple[slice, Array]]:
    """Read rows as float32 or float64, so that half precision is never widened as a whole."""
    step = max(1, VALUES // value.shape[1])
    for start in range(0, len(value), step):
        rows = slice(start, start + step)
        block = as_array(value[rows], "values")
        yield rows, block.astype(np.float32) if block.dtype == np.float16 else block


def _of_probabilities(value: Any, tolerance: float) -> tuple[Float64, Int64] | None:
    if on_device.elsewhere(value):
        return on_device.of_probabilities(value, tolerance)
    confidence, answer = np.empty(len(value)), np.empty(len(value), dtype=np.int64)
    ones = np.ones(value.shape[1], dtype=np.float32)
    for rows, block in _blocks(value):
        ones = ones.astype(block.dtype, copy=False)
        with np.errstate(invalid="ignore", over="ignore"):
            off = np.abs(block @ ones - 1).max()
        # NaN fails both comparisons
        if not (block.min() >= 0 and off <= tolerance):
            return None
        answer[rows] = block.argmax(axis=1)
        confidence[rows] = _at(block, answer[rows])
    return confidence, answer


def _of_logits(value: Any) -> tuple[Float64, Int64] | None:
    if on_device.elsewhere(value):
        return on_device.of_logits(value)
    confidence, answer = np.empty(len(value)), np.empty(len(value), dtype=np.int64)
    ones = np.ones(value.shape[1])
    for rows, block in _blocks(value):
        answer[rows] = block.argmax(axis=1)
        largest = _at(block, answer[rows])
        if not (np.isfinite(block.min()) and np.isfinite(largest).all()):
            return None
        with np.errstate(over="ignore", under="ignore"):
            exponentials = np.exp(block - largest[:, None])
        confidence[rows] = 1 / (exponentials.astype(np.float64, copy=False) @ ones)
    return confidence, answer


def _at(block: Array, column: Int64) -> Array:
    """Take one value of every row; faster than `block[rows, column]`."""
    values: Array = block.ravel().take(np.arange(len(block)) * block.shape[1] + column)
    return values
