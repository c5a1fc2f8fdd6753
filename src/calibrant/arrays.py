"""What every room accepts as an array, with errors that name it; and the softmax."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.errors import InputError

Array = npt.NDArray[Any]
Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

# rounding leaves a row sum further from 1 the coarser the numbers are
ROW_SUM_TOLERANCE = {"bfloat16": 1e-2, "float16": 1e-2, "float32": 1e-4, "float64": 1e-6}


def as_array(value: Any, name: str) -> Array:
    """Turn an array, a torch tensor on any device or nested lists into NumPy, if possible without a copy.

    Args:
        value: the numbers or strings.
        name: what the error calls them.

    Returns:
        The array; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        InputError: if the value is ragged or holds Python objects.

    Example:
        >>> as_array([[1, 2], [3, 4]], "logits").shape
        (2, 2)
    """
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        value = (tensor.float() if "bfloat16" in str(tensor.dtype) else tensor).numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise InputError(f"{name} must be a rectangular array; its rows have different lengths") from None
    if array.dtype.kind not in "biufUM":
        raise InputError(f"{name} must hold numbers or strings, not {array.dtype} values")
    return array


def as_floats(value: Any, name: str, shape: tuple[int | None, ...]) -> Array:
    """Turn a value into a finite float32 or float64 array of a given shape.

    Args:
        value: anything `as_array` takes.
        name: what the error calls it.
        shape: the expected shape; None stands for any length.

    Returns:
        The array; half precision becomes float32 and integers become float64.

    Raises:
        InputError: if it is not numeric, has another shape, or holds NaN or infinite values.

    Example:
        >>> as_floats([[1, 2], [3, 4]], "logits", (None, 2)).dtype
        dtype('float64')
    """
    array = as_array(value, name)
    if array.dtype.kind not in "iuf":
        raise InputError(f"{name} must be numbers, not {array.dtype} values")
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise InputError(f"{name} must have shape [{wanted}], not {list(array.shape)}")
    array = array.astype({"f2": np.float32, "f4": np.float32}.get(array.dtype.str[1:], np.float64), copy=False)
    # one sum instead of one flag per value: a NaN or an infinity anywhere makes it non-finite
    with np.errstate(over="ignore", invalid="ignore"):
        suspicious = not np.isfinite(array.sum(dtype=np.float64))
    if suspicious and not np.isfinite(array).all():
        first = np.argwhere(~np.isfinite(array))[0]
        where = f"row {first[0]}" + (f", column {first[1]}" if array.ndim == 2 else "")
        raise InputError(f"{name} hold a NaN or infinite value ({array[tuple(first)]}) in {where}")
    return array


def as_matrix(value: Any, name: str) -> Array:
    """Turn a value into finite numbers [N, C] with at least one row and two columns.

    Args:
        value: anything `as_array` takes.
        name: what the error calls it.

    Returns:
        float32 or float64 [N, C].

    Raises:
        InputError: if it is not such a matrix.

    Example:
        >>> as_matrix([[0.0, 1.0]], "logits").shape
        (1, 2)
    """
    array = as_array(value, name)
    if array.ndim != 2:
        raise InputError(f"{name} must have shape [N, C], one column per class, not {list(array.shape)}")
    if array.shape[0] == 0:
        raise InputError(f"{name} are empty: there is no sample to work on")
    if array.shape[1] < 2:
        raise InputError(f"{name} need at least two classes, not {array.shape[1]}; one score s is the columns 0 and s")
    return as_floats(array, name, (None, None))


def as_labels(value: Any, samples: int, classes: int, *, none_of_them: bool = False) -> Int64:
    """Turn a value into class indices.

    Args:
        value: integers [N], anything `as_array` takes.
        samples: N.
        classes: how many classes there are.
        none_of_them: whether -1, none of the classes, is allowed.

    Returns:
        int64 [N].

    Raises:
        InputError: if the length differs, or a label is no index into the classes.

    Example:
        >>> as_labels([0, 2], 2, 3)
        array([0, 2])
    """
    array = as_array(value, "labels")
    if array.dtype.kind == "f" and np.array_equal(array, np.floor(array)):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise InputError(f"labels must be class indices (integers), not {array.dtype} values")
    if array.shape != (samples,):
        raise InputError(
            f"there are {samples} rows but the labels have shape {list(array.shape)}; give one label per row"
        )
    lowest = -1 if none_of_them else 0
    outside = np.flatnonzero((array < lowest) | (array >= classes))
    if len(outside):
        row = outside[0]
        hint = "; -1 means none of the classes, which cannot be scored" if array[row] == -1 else ""
        raise InputError(f"label {array[row]} in row {row} is outside the class list (0 to {classes - 1}){hint}")
    return array.astype(np.int64, copy=False)


def row_sum_tolerance(value: Any) -> float:
    """Say how far from 1 a row of probabilities may sum in the precision of an array or tensor.

    Args:
        value: what has a ``dtype``.

    Returns:
        The distance.

    Example:
        >>> row_sum_tolerance(np.float16(0.5))
        0.01
    """
    return ROW_SUM_TOLERANCE.get(str(value.dtype).removeprefix("torch."), 1e-6)


def as_probabilities(value: Any, name: str = "probabilities") -> Array:
    """Turn a value into probabilities [N, C], refusing what is none instead of normalising it.

    Args:
        value: anything `as_array` takes.
        name: what the error calls it.

    Returns:
        float32 or float64 [N, C], unchanged.

    Raises:
        InputError: if a value lies outside 0 to 1 or a row does not sum to 1, within 1e-6 in float64, 1e-4 in
            float32 and 1e-2 in half precision.

    Example:
        >>> as_probabilities([[0.25, 0.75]]).sum()
        np.float64(1.0)
    """
    given = value if hasattr(value, "detach") else as_array(value, name)
    array = as_matrix(given, name)
    tolerance = row_sum_tolerance(given)
    if array.min() < 0 or array.max() > 1 + tolerance:
        row, column = np.argwhere((array < 0) | (array > 1 + tolerance))[0]
        raise InputError(
            f"{name} must lie between 0 and 1, but row {row}, column {column} is {array[row, column]:g}; "
            "apply a softmax to logits first"
        )
    sums = array.sum(axis=1, dtype=np.float64)
    row = int(np.argmax(np.abs(sums - 1)))
    if abs(sums[row] - 1) > tolerance:
        raise InputError(f"{name} must sum to 1 in every row, but row {row} sums to {sums[row]:.6g}")
    return array


def log_softmax(logits: Array) -> Float64:
    """Take the logarithm of the softmax of each row, in float64 and without overflow.

    Args:
        logits: finite numbers [N, C].

    Returns:
        float64 [N, C].

    Example:
        >>> log_softmax(np.array([[0.0, 0.0]])).round(4)
        array([[-0.6931, -0.6931]])
    """
    shifted: Float64 = np.asarray(logits, dtype=np.float64)
    shifted = shifted - shifted.max(axis=1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return shifted


def softmax(logits: Array) -> Float64:
    """Take the softmax of each row, in float64 and without overflow.

    Args:
        logits: finite numbers [N, C].

    Returns:
        float64 [N, C]; rows sum to 1.

    Example:
        >>> softmax(np.array([[1000.0, 1000.0]]))
        array([[0.5, 0.5]])
    """
    shifted: Float64 = np.asarray(logits, dtype=np.float64)
    exponentials: Float64 = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials
