"""The columns of a manifest that say where the object is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from calibrant.data.csv_table import Table
from calibrant.data.masks.mask_files import MaskFile
from calibrant.data.masks.objects import Objects, read_objects
from calibrant.data.masks.shapes import Box, Polygon, Shape
from calibrant.errors import InputError

COLUMNS = ("mask", "polygon", "box")


def objects_of_table(table: Table) -> list[Objects | None] | None:
    r"""Read the columns ``mask``, ``polygon`` and ``box``; the first of them that is filled counts.

    ``mask`` is the path of a picture, from the manifest's folder on. ``box`` is ``left top right bottom`` and
    ``polygon`` is ``x1 y1 x2 y2 x3 y3 ...``, in pixels from the upper left corner; several of them are separated by
    semicolons.

    Args:
        table: the manifest.

    Returns:
        The objects of its R rows, None for a row without any; None if there are no such columns.

    Example:
        >>> import tempfile
        >>> from calibrant.data.csv_table import read_table
        >>> path = Path(tempfile.mkdtemp()) / "pets.csv"
        >>> _ = path.write_text("path,label,box\na.png,cat,0 0 9 9; 10 0 12 5\nb.png,dog,\n")
        >>> first, second = objects_of_table(read_table(path, ["path", "label"]))
        >>> first.shapes[1], second
        (Box(left=10.0, top=0.0, right=12.0, bottom=5.0), None)
    """
    present = [name for name in COLUMNS if name in table.columns]
    if not present:
        return None
    found: list[Objects | None] = []
    for i, line in enumerate(table.lines):
        filled = next((name for name in present if table.columns[name][i]), None)
        if filled is None:
            found.append(None)
            continue
        text = table.columns[filled][i]
        found.append(read_objects(f"{table.file}, line {line}", partial(_shapes, table.file, filled, text)))
    return found


def _shapes(file: Path, column: str, text: str) -> Iterator[tuple[str, Shape]]:
    if column == "mask":
        yield "", MaskFile(file.parent / text)
        return
    for part in filter(None, map(str.strip, text.split(";"))):
        yield "", _box(part) if column == "box" else _polygon(part)


def _box(text: str) -> Box:
    numbers = _numbers("box", text)
    if len(numbers) != 4:
        raise InputError(f"box '{text}' must be four numbers: left top right bottom")
    return Box(*numbers)


def _polygon(text: str) -> Polygon:
    numbers = _numbers("polygon", text)
    if len(numbers) % 2:
        raise InputError(f"polygon '{text}' must be pairs of numbers: x1 y1 x2 y2 x3 y3 ...")
    return Polygon(tuple(zip(numbers[::2], numbers[1::2], strict=True)))


def _numbers(column: str, text: str) -> list[float]:
    try:
        return [float(number) for number in text.split()]
    except ValueError:
        raise InputError(
            f"{column} '{text}' is not made of numbers with spaces between them; if the column is about something "
            "else, give it another name"
        ) from None
