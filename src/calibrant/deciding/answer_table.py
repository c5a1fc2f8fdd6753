"""Tables of answers that grow while images are classified: whole rows only, and never the same image twice."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from calibrant.errors import InputError, require
from calibrant.storage import atomic_write

TOP = 5
COLUMNS: tuple[str, ...] = ("file", "answer", "confidence")
COLUMNS += tuple(f"{what}_{rank}" for rank in range(2, TOP + 1) for what in ("answer", "confidence"))
COLUMNS += ("error", "made_by")
NUMBERS = ("confidence", "expected_cost", "right_reason")  # how columns of numbers begin

Row = dict[str, Any]


class AnswerTable(Protocol):
    """A table on disk that can be continued."""

    def read(self) -> Iterator[Row]:
        """Read the whole rows that are there, after dropping a half-written one."""

    def append(self, rows: Sequence[Row]) -> None:
        """Add whole rows; when this returns they are on the disk."""

    def finish(self) -> None:
        """Bring the table into its final form."""


def open_table(path: str | Path, decided: Sequence[str] = ()) -> AnswerTable:
    """Choose the format by the ending of the file.

    Args:
        path: a file that ends in ``.csv``, ``.jsonl`` or ``.parquet``; it may hold rows of an earlier call.
        decided: columns that say what to do with an answer; they stand before it.

    Returns:
        The table.

    Raises:
        InputError: for another ending, or a folder.
        MissingExtra: for Parquet without pyarrow.
    """
    path, columns = Path(path), (COLUMNS[0], *decided, *COLUMNS[1:])
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file that ends in .csv, .jsonl or .parquet")
    match path.suffix.lower():
        case ".csv":
            return CsvTable(path, columns)
        case ".jsonl":
            return JsonLinesTable(path, columns)
        case ".parquet":
            require("pyarrow", "parquet")
            return ParquetTable(path, columns)
    raise InputError(f"cannot write answers to {path}: the name must end in .csv, .jsonl or .parquet")


class CsvTable:
    """Comma-separated values with a header."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)

    def read(self) -> Iterator[Row]:
        if not self.path.is_file() or self.path.stat().st_size == 0:
            return
        written = self.path.read_bytes()
        lines = written[: written.rfind(b"\n") + 1]
        rows = list(csv.reader(io.StringIO(lines.decode("utf-8", "replace"), newline="")))
        head = rows[0] if rows else written.decode("utf-8", "replace").split(",")
        if tuple(head) != self.columns and (rows or not ",".join(self.columns).startswith(",".join(head))):
            raise InputError(
                f"{self.path} is not a table that classify wrote, or has other columns; choose another file"
            )
        # the line break at which a crash cut a row may be one inside quotes
        kept = [row for row in rows[1:] if len(row) == len(self.columns)]
        if len(kept) < len(rows) - 1 or lines != written:
            self._rewrite(kept)
        for values in kept:
            yield dict(zip(self.columns, values, strict=True))

    def append(self, rows: Sequence[Row]) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if not self.path.is_file() or self.path.stat().st_size == 0:
            writer.writerow(self.columns)
        writer.writerows([row.get(name) for name in self.columns] for row in rows)
        _append(self.path, text.getvalue())

    def finish(self) -> None:
        if not self.path.is_file():
            self.append([])

    def _rewrite(self, rows: Iterable[Sequence[str]]) -> None:
        with atomic_write(self.path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.columns)
            writer.writerows(rows)


class JsonLinesTable:
    """One JSON object a line."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)

    def read(self) -> Iterator[Row]:
        if not self.path.is_file():
            return
        if not _ends_with_newline(self.path):
            whole = self.path.read_bytes()
            with atomic_write(self.path) as temporary:
                temporary.write_bytes(whole[: whole.rfind(b"\n") + 1])
        with open(self.path, encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                if not isinstance(row, dict) or "file" not in row:
                    raise InputError(f"{self.path}, line {number}: not a row that classify wrote; choose another file")
                yield row

    def append(self, rows: Sequence[Row]) -> None:
        lines = (json.dumps({name: row.get(name) for name in self.columns}, ensure_ascii=False) for row in rows)
        _append(self.path, "".join(line + "\n" for line in lines))

    def finish(self) -> None:
        if not self.path.is_file():
            self.append([])


class ParquetTable:
    """Parquet, which cannot be continued: rows wait in a JSON Lines file beside it until the end."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, tuple(columns)
        self.waiting = JsonLinesTable(path.with_name(path.name + ".partial.jsonl"), columns)

    def read(self) -> Iterator[Row]:
        if self.path.is_file():
            yield from self._finished()
        yield from self.waiting.read()

    def append(self, rows: Sequence[Row]) -> None:
        self.waiting.append(rows)

    def finish(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = [pa.float64() if name.startswith(NUMBERS) else pa.string() for name in self.columns]
        schema = pa.schema(list(zip(self.columns, kinds, strict=True)))
        with atomic_write(self.path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
            for chunk in _chunks(self.read(), 10_000):
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
        self.waiting.path.unlink(missing_ok=True)

    def _finished(self) -> Iterator[Row]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            file = pq.ParquetFile(self.path)
        except pa.ArrowInvalid as error:
            raise InputError(f"{self.path} is not a Parquet file: {error}") from error
        with file:
            if tuple(file.schema_arrow.names) != self.columns:
                raise InputError(
                    f"{self.path} is not a table that classify wrote, or has other columns; choose another file"
                )
            for batch in file.iter_batches():
                yield from batch.to_pylist()


def _append(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _ends_with_newline(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() == 0:
            return True
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    chunk: list[Row] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
