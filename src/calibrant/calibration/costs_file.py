"""Costs in a table: a row for every true class, a column for every answer, and one for asking a human."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from calibrant.calibration.costs import Costs
from calibrant.errors import InputError

TRUE, ASKING = "true", "ask"


def read_costs(path: str | Path) -> Costs:
    r"""Read a CSV file of costs.

    Its first column is called ``true`` and names the true class; every other column is called by the class that is
    answered. A column ``ask``, if there is one, says what asking a human costs.

    Args:
        path: the file.

    Returns:
        The costs, classes in the order of the rows.

    Raises:
        InputError: naming file and class, if the file cannot be read, a class is missing or there twice, or a cost
            is no finite number.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "costs.csv"
        >>> _ = file.write_text("true,cat,dog,ask\ncat,0,1,0.5\ndog,9,0,0.5\n")
        >>> read_costs(file).of_answers
        array([[0., 1.],
               [9., 0.]])
    """
    head, *rows = _lines(Path(path))
    if len(head) < 3 or head[0] != TRUE:
        raise InputError(f"{path}: the first line must be '{TRUE}' and then the classes, and '{ASKING}' if wanted")
    answers = [name for name in head[1:] if name != ASKING]
    classes = [row[0] for row in rows]
    for where, names in (("the first line", head), ("the first column", classes)):
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise InputError(f"{path}: '{twice[0]}' is in {where} twice")
    if odd := sorted(set(answers) ^ set(classes)):
        place = "column" if odd[0] in classes else "row"
        raise InputError(f"{path}: class '{odd[0]}' has no {place}; there must be a row and a column for every class")
    table = [dict(zip(head[1:], _numbers(path, row, len(head) - 1), strict=True)) for row in rows]
    asking = np.array([row[ASKING] for row in table]) if ASKING in head else None
    return Costs(classes, np.array([[row[name] for name in classes] for row in table]), asking)


def _lines(path: Path) -> list[list[str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in row] for row in csv.reader(file) if any(map(str.strip, row))]
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not lines:
        raise InputError(
            f"{path} is empty; it needs a line '{TRUE},CLASS,CLASS,...,{ASKING}' and a row for every class"
        )
    return lines


def _numbers(path: str | Path, row: list[str], many: int) -> list[float]:
    if len(row) != many + 1:
        raise InputError(f"{path}: the row of '{row[0]}' has {len(row) - 1} costs, the first line names {many}")
    try:
        numbers = [float(cell) for cell in row[1:]]
    except ValueError as error:
        raise InputError(f"{path}: a cost in the row of '{row[0]}' is no number ({error})") from None
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{path}: a cost in the row of '{row[0]}' is not finite")
    return numbers
