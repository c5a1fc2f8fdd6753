"""CSV files that people write by hand, read with errors that name the line and the column."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrant.errors import InputError


@dataclass(frozen=True)
class Table:
    """The rows of a CSV file.

    Args:
        file: where they come from.
        columns: column name to R stripped values.
        lines: R line numbers in the file.
    """

    file: Path
    columns: dict[str, list[str]]
    lines: list[int]

    def require_values(self, column: str) -> None:
        """Refuse empty values.

        Args:
            column: the column that must be filled.

        Raises:
            InputError: naming the first line where it is empty.
        """
        for value, line in zip(self.columns[column], self.lines, strict=True):
            if not value:
                raise InputError(f"{self.file}, line {line}: '{column}' is empty")


def read_table(
    file: str | Path, required: Sequence[str], optional: Sequence[str] = (), *, may_be_empty: Sequence[str] = ()
) -> Table:
    r"""Read a comma-separated UTF-8 file with a header line.

    Args:
        file: the CSV file.
        required: columns that must exist and be filled.
        optional: columns with a meaning; a similar name in their place is refused as a misspelling.
        may_be_empty: required columns that need not be filled.

    Returns:
        The table, with all further columns, too.

    Raises:
        InputError: naming the file, and the line or the column at fault.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.csv"
        >>> _ = path.write_text("path,label,site\nb.png, cat,Rome\n")
        >>> read_table(path, ["path", "label"]).columns
        {'path': ['b.png'], 'label': ['cat'], 'site': ['Rome']}
    """
    file = Path(file)
    try:
        with open(file, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            rows = [(reader.line_num, [field.strip() for field in row]) for row in reader if any(map(str.strip, row))]
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8; save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{file} is not a valid CSV file: {error}") from error
    if len(rows) < 2:
        raise InputError(f"{file} has no rows; it needs a header line ({','.join(required)}) and one line per entry")
    header = rows[0][1]
    _check_header(file, header, required, optional)
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise InputError(f"{file}, line {line}: {len(row)} fields, but the header has {len(header)}")
    columns = {name: [row[i] for _, row in rows[1:]] for i, name in enumerate(header)}
    table = Table(file, columns, [line for line, _ in rows[1:]])
    for name in required:
        if name not in may_be_empty:
            table.require_values(name)
    return table


def _check_header(file: Path, header: Sequence[str], required: Sequence[str], optional: Sequence[str]) -> None:
    if len(header) == 1 and any(mark in header[0] for mark in ";\t"):
        raise InputError(f"{file} is not separated by commas; save it as a comma-separated file")
    for name in header:
        if not name:
            raise InputError(f"{file}: a column has no name")
        if header.count(name) > 1:
            raise InputError(f"{file}: two columns are called '{name}'")
    for name in required:
        if name not in header:
            near = _nearest(name, header, 0.5)
            hint = f"; rename '{near}'?" if near else f"; its columns are {', '.join(header)}"
            raise InputError(f"{file} has no column '{name}'{hint}")
    for name in optional:
        near = None if name in header else _nearest(name, [other for other in header if other not in required], 0.8)
        if near:
            raise InputError(f"{file}: column '{near}' is not known; did you mean '{name}'? Else give it another name")


def _nearest(name: str, header: Sequence[str], cutoff: float) -> str | None:
    by_key = {other.casefold(): other for other in header}
    near = difflib.get_close_matches(name, by_key, n=1, cutoff=cutoff)
    return by_key[near[0]] if near else None
