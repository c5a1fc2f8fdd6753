"""Predictions from a table (CSV or Parquet), one row per sample.

The rule: a column ``logit:NAME`` holds the logits of class NAME (or ``probability:NAME`` its
probabilities), and the order of these columns is the class list. ``zero_shot_logit:NAME`` holds the
zero-shot logits, ``label`` the true class by its NAME, ``id`` a unique name of the sample. Every further
column stays as a named per-sample column.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.arrays import Array
from calibrant.errors import InputError, require
from calibrant.predictions.named_fields import build, indices
from calibrant.predictions.predictions import Predictions

PREFIXES = {"logit:": "logits", "probability:": "probabilities", "zero_shot_logit:": "zero_shot_logits"}


def read_csv(path: str | Path) -> Predictions:
    """Read predictions from a CSV table in UTF-8 with a header.

    Args:
        path: the file; its columns follow the rule of this module.

    Returns:
        The predictions; further columns become integers or numbers if every value is one, else strings.

    Raises:
        InputError: naming the file, the line and the column at fault.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = next(reader, None)
            if header is None:
                raise InputError(f"{path} is empty")
            parts = _parts(header, path)
            numbers: dict[str, list[Array]] = {field: [] for field in parts}
            rest: dict[str, list[str]] = {name: [] for name in header if not _field(name)}
            places: list[str] = []
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InputError(f"{path}, line {reader.line_num}: {len(row)} values for {len(header)} columns")
                places.append(f"line {reader.line_num}")
                for field, positions in parts.items():
                    numbers[field].append(_numbers(row, positions, header, f"{path}, {places[-1]}"))
                for position, name in enumerate(header):
                    if name in rest:
                        rest[name].append(row[position])
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} is no CSV table in UTF-8: {error}") from error
    arrays = {field: np.array(rows).reshape(len(rows), len(parts[field])) for field, rows in numbers.items()}
    columns = {name: np.array(values) if name in ("label", "id") else typed(values) for name, values in rest.items()}
    return _predictions(header, parts, arrays, columns, path, places)


def read_parquet(path: str | Path) -> Predictions:
    """Read predictions from a Parquet table.

    Args:
        path: the file; its columns follow the rule of this module.

    Returns:
        The predictions.

    Raises:
        InputError: naming the file and the column at fault.
        MissingExtra: if pyarrow is not installed.
    """
    arrow = require("pyarrow", "parquet")
    parquet = require("pyarrow.parquet", "parquet")
    try:
        table = parquet.read_table(str(path))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except arrow.ArrowException as error:
        raise InputError(f"{path} is no Parquet file: {error}") from error
    header = table.column_names
    parts = _parts(header, path)
    columns: dict[str, Array] = {}
    for name, values in zip(header, table.columns, strict=True):
        if values.null_count and name != "label":
            raise InputError(f"{path}: column '{name}' has {values.null_count} missing values")
        array = values.to_numpy()
        if name in ("label", "id"):
            array = np.array(["" if value is None else str(value) for value in values.to_pylist()])
        elif array.dtype == object:
            array = np.array([str(value) for value in array])
        columns[name] = array
    for name in (header[position] for positions in parts.values() for position in positions):
        if columns[name].dtype.kind not in "iuf":
            raise InputError(f"{path}: column '{name}' must hold numbers")
    arrays = {field: np.stack([columns[header[i]] for i in positions], axis=1) for field, positions in parts.items()}
    rest = {name: values for name, values in columns.items() if not _field(name)}
    return _predictions(header, parts, arrays, rest, path, [f"row {row}" for row in range(1, table.num_rows + 1)])


def typed(values: Sequence[str]) -> Array:
    """Give text of one column the plainest type that keeps it: integers, numbers, or the text itself.

    Args:
        values: N texts.

    Returns:
        int64, float64 or string [N]; "007" stays text, for it is a name.

    Example:
        >>> typed(["1", "2"]).dtype.kind, typed(["0.5", "2"]).dtype.kind, typed(["007", "2"]).dtype.kind
        ('i', 'f', 'U')
    """
    try:
        if all(str(int(value)) == value for value in values):
            return np.array([int(value) for value in values], dtype=np.int64)
    except (ValueError, OverflowError):
        pass
    try:
        if not any(value.lstrip("-")[:1] == "0" and value.lstrip("-")[1:2].isdigit() for value in values):
            return np.array([float(value) for value in values])
    except ValueError:
        pass
    return np.array(values, dtype=str)


def _field(name: str) -> str | None:
    return next((field for prefix, field in PREFIXES.items() if name.startswith(prefix)), None)


def _parts(header: Sequence[str], path: str | Path) -> dict[str, list[int]]:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise InputError(f"{path} is not separated by commas; save it as a comma-separated file with decimal points")
    parts: dict[str, list[int]] = {}
    for position, name in enumerate(header):
        if name in header[:position]:
            raise InputError(f"{path}: column '{name}' occurs twice")
        if field := _field(name):
            parts.setdefault(field, []).append(position)
    if ("logits" in parts) + ("probabilities" in parts) != 1:
        shown = ", ".join(header[:6]) + (", ..." if len(header) > 6 else "")
        raise InputError(
            f"{path} needs one column 'logit:NAME' per class (or 'probability:NAME', not both); its columns are {shown}"
        )
    return parts


def _classes(header: Sequence[str], positions: Sequence[int]) -> list[str]:
    return [header[position].partition(":")[2] for position in positions]


def _numbers(row: Sequence[str], positions: Sequence[int], header: Sequence[str], where: str) -> Array:
    try:
        numbers = np.array([row[position] for position in positions]).astype(np.float64)
    except ValueError:
        for position in positions:
            try:
                float(row[position])
            except ValueError:
                raise InputError(
                    f"{where}: column '{header[position]}' holds {row[position]!r}, not a number"
                ) from None
        raise
    if not np.isfinite(numbers).all():
        position = positions[int(np.flatnonzero(~np.isfinite(numbers))[0])]
        raise InputError(f"{where}: column '{header[position]}' holds {row[position]!r}, not a finite number")
    return numbers


def _predictions(
    header: Sequence[str],
    parts: Mapping[str, Sequence[int]],
    arrays: Mapping[str, Array],
    columns: dict[str, Array],
    path: str | Path,
    places: Sequence[str],
) -> Predictions:
    values: dict[str, Any] = dict(arrays)
    values["classes"] = _classes(header, parts["logits" if "logits" in parts else "probabilities"])
    if "zero_shot_logits" in parts:
        order = _classes(header, parts["zero_shot_logits"])
        if sorted(order) != sorted(values["classes"]):
            raise InputError(f"{path}: the 'zero_shot_logit:' columns name other classes than the 'logit:' ones")
        same_order = [order.index(name) for name in values["classes"]]
        values["zero_shot_logits"] = arrays["zero_shot_logits"][:, same_order]
    labels = columns.pop("label", None)
    if labels is not None and (labels != "").any():
        try:
            values["labels"] = indices(labels, values["classes"], places)
        except InputError as error:
            raise InputError(f"{path}, {error}; 'label' names a class as its logit column does") from error
    if "id" in columns:
        values["ids"] = columns.pop("id").tolist()
    return build(values | {"columns": columns}, path)
