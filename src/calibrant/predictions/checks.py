"""What every field of `Predictions` must be, checked in one place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from calibrant.arrays import Array, as_array, as_floats, as_labels, as_matrix
from calibrant.errors import InputError

TOLERANCE = 1e-3  # half precision is so far from a sum of 1
# which features share one embedding space, so that their last axes agree
SPACES = (
    ("text_features", "zero_shot_text_features", "base_text_features", "zero_shot_base_text_features"),
    ("image_features", "reference_image_features"),
)


def checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert and check all fields of `Predictions`.

    Args:
        fields: name to value, as given to the constructor.

    Returns:
        The same names with arrays in place of what stood for them.

    Raises:
        InputError: if a field is wrong or does not fit the others.
    """
    result = dict(fields)
    logits = result["logits"] = as_matrix(fields["logits"], "logits")
    samples, columns = logits.shape
    classes = [str(i) for i in range(columns)] if fields["classes"] is None else names(fields["classes"], "class")
    if len(classes) != columns:
        raise InputError(f"logits have {columns} columns, but there are {len(classes)} class names")
    result["classes"] = classes
    if fields["labels"] is not None:
        result["labels"] = as_labels(fields["labels"], samples, columns, none_of_them=True)
    if fields["base_classes"] is not None:
        result["base_classes"] = names(fields["base_classes"], "base class")
    if fields["ids"] is not None:
        result["ids"] = names(fields["ids"], "id")
        if len(result["ids"]) != samples:
            raise InputError(f"there are {samples} rows of logits but {len(result['ids'])} ids")
    result.update(_arrays(fields, samples, columns, result["base_classes"]))
    result.update({name: _scale(fields[name], name) for name in ("logit_scale", "zero_shot_logit_scale")})
    result["columns"] = {str(name): column(value, str(name), samples) for name, value in fields["columns"].items()}
    if fields["tuned_text"] not in (None, True, False):
        raise InputError(f"tuned_text must be true or false, not {fields['tuned_text']!r}")
    return result


def _arrays(fields: Mapping[str, Any], samples: int, columns: int, base: list[str] | None) -> dict[str, Array]:
    tuned = None if base is None else len(base)
    shapes: dict[str, tuple[int | None, ...]] = {
        "zero_shot_logits": (samples, columns),
        "text_features": (columns, None),
        "zero_shot_text_features": (columns, None),
        "base_text_features": (tuned, None),
        "zero_shot_base_text_features": (tuned, None),
        "proximity": (samples,),
        "image_features": (samples, None),
        "reference_image_features": (None, None),
    }
    arrays = {name: as_floats(fields[name], name, shape) for name, shape in shapes.items() if fields[name] is not None}
    for space in SPACES:
        there = [name for name in space if name in arrays]
        for name in there[1:]:
            if arrays[name].shape[1] != arrays[there[0]].shape[1]:
                raise InputError(f"{there[0]} and {name} must have the same last axis, not "
                                 f"{arrays[there[0]].shape[1]} and {arrays[name].shape[1]}")  # fmt: skip
    both = [arrays[name] for name in ("base_text_features", "zero_shot_base_text_features") if name in arrays]
    if len(both) == 2 and len(both[0]) != len(both[1]):
        raise InputError(f"base_text_features has {len(both[0])} rows, zero_shot_base_text_features {len(both[1])}")
    return arrays


def look_like_probabilities(logits: Array) -> bool:
    """Tell whether logits may be probabilities that were given in their place.

    Args:
        logits: finite numbers [N, C].

    Returns:
        Whether no entry is below 0, every row sums to 1, and not every row is a single 1 among zeros, which is how
        logits of examples are written.

    Example:
        >>> look_like_probabilities(np.array([[0.9, 0.1]])), look_like_probabilities(np.eye(3))
        (True, False)
    """
    if abs(logits[0].sum() - 1) > TOLERANCE or logits[0].min() < 0:  # the first row tells it of nearly all logits
        return False
    table = logits.astype(np.float64)
    between = (table > TOLERANCE) & (table < 1 - TOLERANCE)
    return bool((table >= 0).all() and (np.abs(table.sum(axis=1) - 1) <= TOLERANCE).all() and between.any())


def names(values: Iterable[Any], what: str) -> list[str]:
    """Check a list of names that must be unique and not empty.

    Args:
        values: the names.
        what: what they name, for the error.

    Returns:
        The names as strings.

    Raises:
        InputError: if one is empty or occurs twice.

    Example:
        >>> names(["cat", "dog"], "class")
        ['cat', 'dog']
    """
    if isinstance(values, str):
        raise InputError(f"{what} names must be a list, not the single string {values!r}")
    listed = [str(value) for value in values]
    for position, name in enumerate(listed):
        if not name.strip():
            raise InputError(f"the {what} name at position {position} is empty")
    if len(set(listed)) < len(listed):
        name, times = Counter(listed).most_common(1)[0]
        raise InputError(f"the {what} name {name!r} occurs {times} times; names must be unique")
    return listed


def column(values: Any, name: str, samples: int) -> Array:
    """Check one named column of per-sample values of any plain type.

    Args:
        values: [N] numbers, booleans, strings or dates.
        name: the column.
        samples: N.

    Returns:
        The column; dates become ISO strings.

    Raises:
        InputError: if the length differs or the values are of mixed type.

    Example:
        >>> column(["a", "b"], "site", 2).dtype.kind
        'U'
    """
    if not name:
        raise InputError("a column of the predictions has an empty name")
    if isinstance(values, np.ndarray) and values.dtype == object and all(isinstance(value, str) for value in values):
        values = values.astype(str)
    array = as_array(values, f"column '{name}'")
    if array.shape != (samples,):
        raise InputError(f"column '{name}' has shape {list(array.shape)}, but there are {samples} samples")
    return np.array(array.astype(str).tolist()) if array.dtype.kind == "M" else array


def _scale(value: Any, name: str) -> float | None:
    if value is None:
        return None
    number = as_array(value, name)
    if number.size != 1 or number.dtype.kind not in "iuf" or not 0 < float(number.reshape(())) < np.inf:
        raise InputError(f"{name} must be one positive number, not {value!r}")
    return float(number.reshape(()))
