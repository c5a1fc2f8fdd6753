"""The tables of a run: the images it has seen, near-duplicates among them, and the log of its steps."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from calibrant.errors import InputError
from calibrant.storage import atomic_write

NEAR = ("first", "second", "first_split", "second_split")


@dataclass(frozen=True)
class Listed:
    """One line of a manifest.

    Args:
        path: the image's id in its data set.
        content: a hash of its pixels; empty if the data set gives none.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        label: its class; empty for none of the classes.
        used: whether the run was tuned on it (a training image that was drawn) or tried on it (validation).
    """

    path: str
    content: str
    split: str
    label: str
    used: bool


def listed(rows: Sequence[Mapping[str, str]], drawn: Sequence[str]) -> list[Listed]:
    """Say of every image of a data set whether a run uses it.

    Args:
        rows: the manifest of the data set: path, content, split and label.
        drawn: paths of the training images that are tuned on.

    Returns:
        The manifest of the run.

    Example:
        >>> row = {"content": "0f", "split": "train", "label": "cat"}
        >>> [one.used for one in listed([{"path": "a.png", **row}, {"path": "b.png", **row}], ["b.png"])]
        [False, True]
    """
    chosen, known = set(drawn), []
    for row in rows:
        split = row["split"]
        used = split == "validation" or (split == "train" and row["path"] in chosen)
        known.append(Listed(row["path"], row["content"], split, row["label"], used))
    return known


def write_manifest(path: Path, rows: Sequence[Listed]) -> None:
    """Write a manifest, whole or not at all."""
    names = [field.name for field in fields(Listed)]
    _write(path, names, [[*astuple(row)[:-1], "yes" if row.used else "no"] for row in rows])


def read_manifest(path: Path) -> list[Listed]:
    """Read a manifest; `InputError` if it is missing or no manifest."""
    names = [field.name for field in fields(Listed)]
    rows = _read(path, names)
    return [Listed(name, content, split, label, used == "yes") for name, content, split, label, used in rows]


def write_near_duplicates(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write pairs of near-duplicates, whole or not at all."""
    _write(path, NEAR, [[row[name] for name in NEAR] for row in rows])


def read_near_duplicates(path: Path) -> list[dict[str, str]]:
    """Read pairs of near-duplicates; `InputError` if the file is no such table."""
    return [dict(zip(NEAR, values, strict=True)) for values in _read(path, NEAR)]


def _write(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(rows)


def _read(path: Path, names: Sequence[str]) -> list[list[str]]:
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [[row[name] for name in names] for row in csv.DictReader(file)]
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except KeyError as error:
        raise InputError(f"cannot read {path}: it has no column {error}") from error


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a log; a line that a crash cut in half is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


@contextmanager
def open_rows(path: Path, after: tuple[int, int] | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Open a log for writing.

    Args:
        path: the log.
        after: stage and step from which tuning goes on; later lines are dropped. None starts anew.

    Yields:
        A function that writes one row.

    Raises:
        InputError: if the log cannot be written.
    """
    kept = [] if after is None else [row for row in read_rows(path) if (row["stage"], row["step"]) <= after]
    with atomic_write(path) as temporary:
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    with open(path, "a", encoding="utf-8", buffering=1) as file:

        def write(row: Mapping[str, Any]) -> None:
            try:
                print(json.dumps(row), file=file)
            except OSError as error:
                raise InputError(f"cannot write {path}: {error.strerror or error}") from error

        yield write
