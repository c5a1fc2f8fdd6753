"""Predictions made of named arrays that another program wrote."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.arrays import Array
from calibrant.errors import InputError
from calibrant.predictions.predictions import Predictions

KNOWN = {field.name for field in fields(Predictions)} - {"columns", "about"} | {"probabilities"}
SCALARS = ("logit_scale", "zero_shot_logit_scale", "tuned_text")
NAMES = ("classes", "base_classes", "ids")


def from_fields(arrays: Mapping[str, Array], path: str | Path) -> Predictions:
    """Make predictions of arrays that are called like the fields of `Predictions`.

    `probabilities` may stand for `logits`; any other array [N] becomes a column.

    Args:
        arrays: name to array.
        path: the file they come from, for errors and for `about`.

    Returns:
        The predictions.

    Raises:
        InputError: naming the file and the field, if one is missing, unknown or wrong.
    """
    given = ("logits" in arrays) + ("probabilities" in arrays)
    if given != 1:
        found = ", ".join(arrays) or "nothing"
        raise InputError(f"{path} must hold either 'logits' or 'probabilities' [N, C]; it holds {found}")
    values: dict[str, Any] = {name: array for name, array in arrays.items() if name in KNOWN}
    values |= {name: array.tolist() for name, array in values.items() if name in NAMES}
    values |= {name: array.item() for name, array in values.items() if name in SCALARS and array.size == 1}
    samples = len(arrays["logits" if "logits" in arrays else "probabilities"])
    columns = {name: array for name, array in arrays.items() if name not in KNOWN}
    for name, array in columns.items():
        near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.75)
        if near and near[0] not in arrays:
            raise InputError(f"{path} holds an unknown field '{name}'; did you mean '{near[0]}'?")
        if array.shape != (samples,):
            raise InputError(
                f"{path}: field '{name}' is unknown, and with shape {list(array.shape)} "
                f"it is no column of the {samples} samples either"
            )
    return build(values | {"columns": columns}, path)


def build(values: dict[str, Any], path: str | Path) -> Predictions:
    """Make predictions of field values; `labels` may be class names, and `probabilities` replace `logits`.

    Args:
        values: field name to value.
        path: the file they come from.

    Returns:
        The predictions, with the file's name in `about`.

    Raises:
        InputError: naming the file, if a value is wrong.
    """
    labels = values.get("labels")
    try:
        if labels is not None and np.asarray(labels).dtype.kind == "U":
            values["labels"] = indices(labels, values.get("classes"))
        about = {"source": Path(path).name}
        if "probabilities" in values:
            return Predictions.from_probabilities(values.pop("probabilities"), about=about, **values)
        return Predictions(about=about, **values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def indices(labels: Any, classes: list[str] | None, places: Sequence[str] | None = None) -> Array:
    """Find class names in the class list.

    Args:
        labels: N class names.
        classes: the class list.
        places: where each label stands in its file, such as ``"line 2"``; None for rows of an array, from 0.

    Returns:
        int64 [N].

    Raises:
        InputError: if there is no class list, or a name is not in it.

    Example:
        >>> indices(["dog"], ["cat", "dog"])
        array([1])
    """
    if classes is None:
        raise InputError("labels are names, so the class list is needed: add 'classes'")
    position = {name: index for index, name in enumerate(classes)}
    for row, label in enumerate(labels):
        if label not in position:
            near = difflib.get_close_matches(str(label), classes, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            what = f"label '{label}' in row {row}" if places is None else f"{places[row]}: label '{label}'"
            raise InputError(f"{what} is not one of the {len(classes)} classes{hint}")
    return np.array([position[str(label)] for label in labels], dtype=np.int64)
