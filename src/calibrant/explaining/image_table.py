"""A table with a row for every image: what was answered, how sure, and on what evidence."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.rationality.cells import THRESHOLD
from calibrant.storage import atomic_write

if TYPE_CHECKING:
    from calibrant.explaining.answers import Answered
    from calibrant.explaining.evidence import Evidence

UNDEFINED, OUTSIDE = "no evidence", "outside"


def cell_names(answered: Answered, evidence: Evidence, threshold: float = THRESHOLD) -> list[str]:
    """Name the cell of every image.

    Args:
        answered: on N images.
        evidence: of the same model.
        threshold: relevance mass from which evidence is valid.

    Returns:
        N of ``RR``, ``RW``, ``WR``, ``WW`` (right or wrong answer, valid or invalid evidence), ``no evidence``, and
        ``outside`` where the model sees nothing of the object.
    """
    cells = []
    rows = zip(answered.correct, evidence.relevance_mass, evidence.outside, strict=True)
    for right, mass, outside in rows:
        if outside:
            cells.append(OUTSIDE)
        elif np.isnan(mass):
            cells.append(UNDEFINED)
        else:
            cells.append(("R" if right else "W") + ("R" if mass >= threshold else "W"))
    return cells


def write_image_table(
    path: Path,
    ids: Sequence[str],
    labels: Sequence[str],
    classes: Sequence[str],
    models: Sequence[tuple[Answered, Evidence | None]],
    *,
    threshold: float,
) -> None:
    """Write the table, whole or not at all.

    Args:
        path: the CSV file.
        ids: N names of images.
        labels: N class names.
        classes: C class names.
        models: answers and evidence (None without masks) of the tuned model and, perhaps, the zero-shot model, whose
            columns begin with ``zero_shot_``.
        threshold: relevance mass from which evidence is valid.

    Raises:
        InputError: if it cannot be written.
    """
    columns: dict[str, Sequence[Any]] = {"id": ids, "label": labels}
    for at, (answered, evidence) in enumerate(models):
        beginning = "zero_shot_" if at else ""
        own = _columns(answered, evidence, classes, threshold)
        columns |= {f"{beginning}{name}": values for name, values in own.items()}
    if models[0][1] is not None:
        columns["object_area"] = _rounded(models[0][1].area)
    with atomic_write(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _columns(
    answered: Answered, evidence: Evidence | None, classes: Sequence[str], threshold: float
) -> Mapping[str, Sequence[Any]]:
    found: dict[str, Sequence[Any]] = {
        "answer": [classes[one] for one in answered.answer],
        "confidence": _rounded(answered.confidence),
        "right": ["yes" if one else "no" for one in answered.correct],
    }
    if evidence is not None:
        found["relevance_mass"] = _rounded(evidence.relevance_mass)
        found["cell"] = cell_names(answered, evidence, threshold)
    return found


def _rounded(values: Any) -> list[float | str]:
    return ["" if np.isnan(value) else round(float(value), 6) for value in values]
