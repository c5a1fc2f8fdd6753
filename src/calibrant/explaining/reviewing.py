"""Letting people judge the heat maps of a run, and measuring what they said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.explaining.measures import plain
from calibrant.rationality.choosing import choose_for_review
from calibrant.rationality.judged_cells import judged_summary
from calibrant.rationality.judgements import read_judgements, settings_digest
from calibrant.rationality.kappa import Agreement, agreement_of_reviewers, agreement_with_mass
from calibrant.reporting.review import review_page
from calibrant.storage import atomic_write

if TYPE_CHECKING:
    from calibrant.arrays import Array
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.explaining.answers import Answered
    from calibrant.explaining.evidence import Evidence
    from calibrant.models.preprocessing import Preprocessing
    from calibrant.rationality import HeatMaps


def write_review(
    path: Path,
    chosen: EvaluationSet,
    answered: Answered,
    maps: HeatMaps,
    preprocessing: Preprocessing,
    images: int,
) -> int:
    """Write the page on which people judge the heat maps.

    Args:
        path: the page.
        chosen: N images.
        answered: on them, by the model that is judged.
        maps: of the same model, in the same order, which explain the label.
        preprocessing: of the model.
        images: how many to show.

    Returns:
        How many are shown; fewer where there are no more.

    Raises:
        InputError: if no map holds evidence, or the page cannot be written.
    """
    rows = choose_for_review(answered.correct, images, evidence=maps.evidence)
    page = review_page(
        [preprocessing.seen(np.asarray(chosen.images[row])) for row in rows],
        [maps.maps[row] for row in rows],
        [chosen.ids[row] for row in rows],
        [chosen.classes[int(answered.targets[row])] for row in rows],
        settings_digest(maps.settings),
    )
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return len(rows)


def measured_judgements(
    files: Sequence[str | Path],
    answered: Answered,
    maps: HeatMaps,
    evidence: Evidence | None,
    *,
    threshold: float,
    units: Array | None,
) -> dict[str, Any]:
    """Measure what people said of the heat maps.

    Args:
        files: CSV files that the review page saved.
        answered: on N images, by the model that was judged.
        maps: of the same model, in the same order.
        evidence: of the maps where there are masks, with which each reviewer is compared.
        threshold: relevance mass from which evidence is valid.
        units: one value [N] per image, equal for images that depend on each other; None if none do.

    Returns:
        ``files``, ``settings`` (which maps were judged), ``reviewers``, ``images`` (how many were judged), ``measures``
        (see `calibrant.rationality.judged_cells.judged_summary`), and ``agreement``, for every two reviewers and for
        each with the masks: ``between``, ``kappa``, ``same``, ``images``, ``left_out``.

    Raises:
        InputError: if a file cannot be read or is about other maps, naming file and line.
    """
    settings = settings_digest(maps.settings)
    judgements = read_judgements(files, maps.ids, settings)
    agreement = agreement_of_reviewers(judgements, len(maps), units=units)
    if evidence is not None:
        agreement += agreement_with_mass(judgements, evidence.relevance_mass, threshold=threshold, units=units)
    measures = judged_summary(judgements, answered.correct, evidence=maps.evidence, units=units)
    return {
        "files": [str(file) for file in files],
        "settings": settings,
        "reviewers": judgements.reviewers,
        "images": len(judgements.images),
        "measures": plain(measures),
        "agreement": [_agreement(one) for one in agreement],
    }


def _agreement(one: Agreement) -> dict[str, Any]:
    found: dict[str, Any] = plain(vars(one))
    return found
