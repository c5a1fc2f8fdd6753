"""Arrange measured numbers for the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

SHOWN = ("accuracy", "ece", "nll")  # what fits a terminal; JSON and files have all
AT_ONCE = 3  # measures that one table of the terminal holds


class Table(NamedTuple):
    """What `calibrant.reporting.measures_table` shows: its arguments."""

    title: str
    rows: Sequence[Mapping[str, Any]]
    about: tuple[str, ...]
    measures: Sequence[str]
    level: float | None


def tables(
    results: Sequence[Mapping[str, Any]], shown: Sequence[str] | None = None, level: float | None = 0.95
) -> Iterator[Table]:
    """Arrange results for tables on the screen that fit into a terminal of 80 columns.

    Args:
        results: as `measure` gives them, or those of `evaluate`.
        shown: the measures to show; by default `SHOWN`.
        level: confidence of their intervals, or None.

    Yields:
        First all sets, then every subgrouping, worst first, then differences and what published code would have given.
    """
    names = SHOWN if shown is None else tuple(shown)
    yield from _in_parts("Measured", results, ("data", "split", "calibrator", "n"), names, level)
    for one in results:
        if "groups" in one:
            title = f"{one['data']} by {one['by']}, calibrator {one['calibrator']}, worst first".strip()
            yield from _in_parts(title, one["groups"], ("group", "n", "note"), names, level)
    compared = [{**one, "measures": one["differences"]} for one in results if "differences" in one]
    if compared:
        title = f"Difference: these minus those of {compared[0]['minus']}"
        yield from _in_parts(title, compared, ("data", "split", "calibrator", "n"), names, level)
    published = [{**one, "measures": one["as_published"]} for one in results if "as_published" in one]
    if published:
        title = "As published code computes it, for comparison with papers only"
        yield Table(title, published, ("data", "split", "calibrator"), list(published[0]["measures"]), None)


def _in_parts(
    title: str, rows: Sequence[Mapping[str, Any]], about: tuple[str, ...], names: Sequence[str], level: float | None
) -> Iterator[Table]:
    # the noise floor stands beside the ECE
    there = [
        name
        for name in names
        if any(name in row["measures"] for row in rows) and not (name == "ece_noise_floor" and "ece" in names)
    ]
    for start in range(0, len(there), AT_ONCE):
        yield Table(title if start == 0 else "", rows, about, there[start : start + AT_ONCE], level)


def what_was_measured(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which images stand behind results, a line for each set.

    Args:
        results: as `measure` gives them.

    Returns:
        The lines.

    Example:
        >>> what_was_measured([{"data": "folder:pets", "split": "test", "n": 12, "without_class": 0}])
        ['Measured on 12 test images of folder:pets.']
        >>> what_was_measured([{"data": "folder:pets", "all_images": True, "n": 12, "without_class": 0}])
        ['Measured on all 12 images of folder:pets.']
    """
    lines = []
    for one in results:
        which = f"all {one['n']}" if one.get("all_images") else f"{one['n']} {one.get('split')}"
        images = f"{which} images of {one['data']}" if one["data"] else f"{one['n']} predictions"
        left = one["without_class"]
        lines.append(f"Measured on {images}{f'; {left} of none of the classes are left out' if left else ''}.")
    return list(dict.fromkeys(lines))


def explain_columns(definitions: Mapping[str, str], shown: Sequence[str] | None = None) -> str:
    """Say in one line each what the shown measures mean."""
    names = SHOWN if shown is None else shown
    return "\n".join(f"{name.replace('_', ' ')}: {definitions[name]}" for name in names if name in definitions)
