"""Predictions in a safetensors file: arrays as tensors, everything else as JSON under one metadata key."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.errors import InputError
from calibrant.storage import atomic_write

if TYPE_CHECKING:
    from calibrant.arrays import Array
    from calibrant.predictions.predictions import Predictions

# one key only: the order of several differs between processes, and with it the bytes of the file
KEY = "calibrant.predictions"
FORMAT = 1
COLUMN = "columns/"


def write(predictions: Predictions, path: str | Path) -> None:
    """Write predictions to a safetensors file, whole or not at all.

    Args:
        predictions: what to write.
        path: the file.

    Raises:
        InputError: if the file cannot be written, or `about` holds what JSON cannot.
    """
    from safetensors.numpy import save_file

    tensors: dict[str, Array] = {}
    others: dict[str, Any] = {}
    for field in fields(predictions):
        value = getattr(predictions, field.name)
        if isinstance(value, np.ndarray):
            tensors[field.name] = value
        elif value is not None and field.name != "columns":
            others[field.name] = value
    texts = {}
    for name, column in predictions.columns.items():
        if column.dtype.kind == "U":
            texts[name] = column.tolist()
        else:
            tensors[COLUMN + name] = column
    head = {"format": FORMAT, "fields": others, "texts": texts, "columns": list(predictions.columns)}
    try:
        text = json.dumps(head, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"cannot write {path}: `about` must hold only what JSON can hold ({error})") from error
    with atomic_write(path) as temporary:
        save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, temporary, {KEY: text})


def read(path: str | Path) -> Predictions:
    """Read predictions from a safetensors file.

    A file that another program wrote is accepted if its tensors are called like the fields of `Predictions`.

    Args:
        path: the file.

    Returns:
        The predictions.

    Raises:
        InputError: if the file is missing, truncated, of a newer format, or does not hold predictions.
    """
    from safetensors import SafetensorError, safe_open

    from calibrant.predictions.named_fields import from_fields
    from calibrant.predictions.predictions import Predictions

    try:
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, TypeError, ValueError) as error:
        raise InputError(f"{path} is truncated or no safetensors file of plain arrays: {error}") from error
    if text is None:
        return from_fields(tensors, path)
    head = json.loads(text)
    if head["format"] > FORMAT:
        raise InputError(f"{path} was written by a newer Calibrant (format {head['format']}); upgrade to read it")
    texts = {name: np.array(values, dtype=str) for name, values in head["texts"].items()}
    columns = {name: texts[name] if name in texts else tensors.pop(COLUMN + name) for name in head["columns"]}
    try:
        return Predictions(**tensors, **head["fields"], columns=columns)
    except (InputError, TypeError) as error:
        raise InputError(f"{path}: {error}") from error
