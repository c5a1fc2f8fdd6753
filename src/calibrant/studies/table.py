"""The table of a study: one row for every cell, test set and calibrator, in Parquet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError, require
from calibrant.storage import atomic_write
from calibrant.studies.cells import StudyFolder

if TYPE_CHECKING:
    from pathlib import Path


def write_table(place: StudyFolder) -> None:
    """Gather the rows of all cells into one table, whole or not at all.

    Args:
        place: the study.

    Raises:
        InputError: if it cannot be written.
        MissingExtra: without pyarrow.
    """
    require("pyarrow", "parquet")
    import pyarrow
    from pyarrow import parquet

    rows = [row for kept in place.results() for row in kept.get("rows", [])]
    if not rows:
        return
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    with atomic_write(place.table_file) as temporary:
        parquet.write_table(pyarrow.table(columns), temporary)


def read_table(path: Path) -> list[dict[str, Any]]:
    """Read the table of a study.

    Args:
        path: the Parquet file.

    Returns:
        Its rows.

    Raises:
        InputError: if there is none.
    """
    require("pyarrow", "parquet")
    from pyarrow import parquet

    if not path.is_file():
        raise InputError(f"there is no table at {path}; run the study first")
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    return rows
