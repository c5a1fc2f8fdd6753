"""The pictures of an explained set: answers that are right for the wrong reason first, drawn with their heat maps."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.explaining.evidence import seen_mask
from calibrant.explaining.image_table import cell_names
from calibrant.rationality.overlays import jpeg, side_by_side
from calibrant.storage import atomic_write

if TYPE_CHECKING:
    from calibrant.arrays import Array
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.explaining.answers import Answered
    from calibrant.explaining.evidence import Evidence
    from calibrant.models.preprocessing import Preprocessing
    from calibrant.rationality import HeatMaps

SHOWN = {"RW": 12, "WR": 4, "WW": 4, "RR": 4}
"""How many pictures of each cell, in the order in which they are shown; the surest answers of each."""

SHOWN_WITHOUT_MASKS = {"right": 6, "wrong": 6}
LARGEST = 256  # pixels of the longer edge of each half


def draw_pictures(
    folder: Path,
    chosen: EvaluationSet,
    answered: Answered,
    maps: HeatMaps,
    evidence: Evidence | None,
    preprocessing: Preprocessing,
    *,
    threshold: float,
) -> list[dict[str, Any]]:
    """Draw the surest answers of each cell, image and heat map side by side, the object outlined.

    Args:
        folder: in which the pictures are written; what is there of an earlier time is removed.
        chosen: N images.
        answered: on them.
        maps: of the same model, in the same order.
        evidence: of the maps, or None without masks.
        preprocessing: of the model: the pictures show what it sees.
        threshold: relevance mass from which evidence is valid.

    Returns:
        For each picture ``file`` (its name in the folder), ``id``, ``cell`` (without masks ``right`` or ``wrong``),
        ``label``, ``answer``, ``explained`` (the class that the map is of), ``confidence`` and ``relevance_mass``.

    Raises:
        InputError: if a picture cannot be written.
    """
    shutil.rmtree(folder, ignore_errors=True)
    cells, counts = _cells(answered, maps, evidence, threshold)
    return [
        _picture(folder, chosen, answered, maps, evidence, preprocessing, cell, rank, row)
        for cell, count in counts.items()
        for rank, row in enumerate(_surest(cells, cell, answered.confidence, count), start=1)
    ]


def _cells(
    answered: Answered, maps: HeatMaps, evidence: Evidence | None, threshold: float
) -> tuple[list[str], dict[str, int]]:
    if evidence is not None:
        return cell_names(answered, evidence, threshold), SHOWN
    cells = [
        ("right" if right else "wrong") if known else ""
        for right, known in zip(answered.correct, maps.evidence, strict=True)
    ]
    return cells, SHOWN_WITHOUT_MASKS


def _surest(cells: Sequence[str], cell: str, confidence: Array, count: int) -> list[int]:
    rows = np.flatnonzero(np.array(cells) == cell)
    return [int(row) for row in rows[np.argsort(-confidence[rows], kind="stable")][:count]]


def _picture(
    folder: Path,
    chosen: EvaluationSet,
    answered: Answered,
    maps: HeatMaps,
    evidence: Evidence | None,
    preprocessing: Preprocessing,
    cell: str,
    rank: int,
    row: int,
) -> dict[str, Any]:
    name = chosen.ids[row]
    mask = None if evidence is None else seen_mask(chosen, row, preprocessing)
    seen = preprocessing.seen(np.asarray(chosen.images[row]))
    drawn = side_by_side(seen, maps.maps[row], mask=mask, largest=LARGEST, name=f"image '{name}'")
    plain = re.sub(r"[^\w.]+", "-", name).strip("-.")[-60:] or "image"
    file = f"{cell}-{rank:02d}-{plain}.jpg"
    with atomic_write(folder / file) as temporary:
        temporary.write_bytes(jpeg(drawn))
    mass = float("nan") if evidence is None else float(evidence.relevance_mass[row])
    return {
        "file": file,
        "id": name,
        "cell": cell,
        "label": chosen.classes[int(chosen.labels[row])],
        "answer": chosen.classes[int(answered.answer[row])],
        "explained": chosen.classes[int(answered.targets[row])],
        "confidence": float(answered.confidence[row]),
        "relevance_mass": None if np.isnan(mass) else mass,
    }
