"""What the rows of a study come to: mean over seeds, and how far seeds lie apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from calibrant.errors import unknown

ABOUT = ("data", "method", "calibrator", "shots")
FORMATS = ("markdown", "latex", "csv")


@dataclass(frozen=True)
class Line:
    """One method on one set.

    Args:
        about: ``data``, ``method``, ``calibrator`` and ``shots``.
        seeds: how many runs stand behind it.
        mean: measure to mean over seeds; NaN where a run has none.
        least: measure to the smallest value of a seed.
        most: measure to the largest.
    """

    about: Mapping[str, Any]
    seeds: int
    mean: Mapping[str, float]
    least: Mapping[str, float]
    most: Mapping[str, float]


def summarised(rows: Sequence[Mapping[str, Any]], measures: Sequence[str]) -> list[Line]:
    """Average the rows of a study over its seeds.

    Args:
        rows: of `calibrant.studies.table.read_table`.
        measures: which.

    Returns:
        One line for every set, method, calibrator and number of shots, in the order in which they come.

    Raises:
        InputError: if there is no such measure.

    Example:
        >>> about = {"data": "emoji", "method": "coop", "calibrator": "none", "shots": 16}
        >>> (line,) = summarised([{**about, "seed": 1, "ece": 0.1}, {**about, "seed": 2, "ece": 0.3}], ["ece"])
        >>> line.seeds, round(line.mean["ece"], 3), line.least["ece"], line.most["ece"]
        (2, 0.2, 0.1, 0.3)
    """
    known = [name for name in (rows[0] if rows else {}) if name not in (*ABOUT, "seed", "n")]
    for name in measures:
        if name not in known:
            raise unknown("measure", name, known)
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in ABOUT), []).append(row)
    return [_line(dict(zip(ABOUT, about, strict=True)), group, measures) for about, group in groups.items()]


def _line(about: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], measures: Sequence[str]) -> Line:
    values = {name: [_number(row[name]) for row in rows] for name in measures}
    return Line(
        about,
        len(rows),
        {name: sum(found) / len(found) for name, found in values.items()},
        {name: min(found) for name, found in values.items()},
        {name: max(found) for name, found in values.items()},
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def as_text(lines: Sequence[Line], measures: Sequence[str], form: str) -> str:
    """Write a table for a document.

    Args:
        lines: of a study.
        measures: the columns.
        form: ``"markdown"``, ``"latex"`` or ``"csv"``.

    Returns:
        The table.

    Raises:
        InputError: if there is no such form.

    Example:
        >>> about = {"data": "emoji", "method": "coop", "calibrator": "none", "shots": 16}
        >>> line = Line(about, 3, {"ece": 0.2}, {"ece": 0.1}, {"ece": 0.3})
        >>> print(as_text([line], ["ece"], "csv"))
        data,method,calibrator,shots,seeds,ece,ece least,ece most
        emoji,coop,none,16,3,0.2,0.1,0.3
    """
    if form not in FORMATS:
        raise unknown("table format", form, FORMATS)
    if form == "csv":
        return _csv(lines, measures)
    rows = [[*_about(line), *(_cell(line, name) for name in measures)] for line in lines]
    header = [*ABOUT, "seeds", *measures]
    if form == "markdown":
        return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))
    body = [" & ".join(_escaped(cell) for cell in row) + r" \\" for row in (header, *rows)]
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * len(ABOUT)}{'r' * (len(measures) + 1)}}}",
            r"\toprule",
            body[0],
            r"\midrule",
            *body[1:],
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def _csv(lines: Sequence[Line], measures: Sequence[str]) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*ABOUT, "seeds", *(f"{name}{end}" for name in measures for end in ("", " least", " most"))])
    for line in lines:
        found = [side[name] for name in measures for side in (line.mean, line.least, line.most)]
        writer.writerow([*line.about.values(), line.seeds, *("" if math.isnan(value) else value for value in found)])
    return text.getvalue().rstrip("\n")


def _about(line: Line) -> list[str]:
    return [*("all" if value is None else str(value) for value in line.about.values()), str(line.seeds)]


def _cell(line: Line, name: str) -> str:
    if math.isnan(line.mean[name]):
        return "–"
    spread = f" ({line.least[name]:.3f}–{line.most[name]:.3f})" if line.seeds > 1 else ""
    return f"{line.mean[name]:.3f}{spread}"


def _escaped(text: str) -> str:
    for one in "&%$#_{}":
        text = text.replace(one, "\\" + one)
    return text.replace("–", "--")
