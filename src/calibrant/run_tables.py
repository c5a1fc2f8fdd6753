"""The two tables of a run: the manifest of the images it has seen, and the log of its steps."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from calibrant.errors import InputError
from calibrant.storage import atomic_write


@dataclass(frozen=True)
class Seen:
    """One line of a manifest: an image that a run was tuned or tried on."""

    id: str
    content: str
    split: str
    label: str


def write_seen(path: Path, rows: Sequence[Seen]) -> None:
    """Write a manifest, whole or not at all."""
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "content", "split", "label"])
        writer.writerows([row.id, row.content, row.split, row.label] for row in rows)


def read_seen(path: Path) -> list[Seen]:
    """Read a manifest; `InputError` if it is missing or no manifest."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            return [Seen(row["id"], row["content"], row["split"], row["label"]) for row in rows]
    except (OSError, KeyError) as error:
        raise InputError(f"cannot read {path}: {error}") from error


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
