"""The heat maps of one model on one evaluation set, made block by block and kept in the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.errors import InputError
from calibrant.progress import progress_bar
from calibrant.rationality import HeatMaps

if TYPE_CHECKING:
    from calibrant.arrays import Int64
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.rationality.way import Way
    from calibrant.tuning.tuned_model import Answers

BLOCK = 256  # images that are in memory at a time


def kept_maps(
    file: Path,
    model: Answers,
    chosen: EvaluationSet,
    targets: Int64,
    way: Way,
    made_of: Mapping[str, Any],
    *,
    batch_size: int,
    progress: bool,
    title: str,
) -> HeatMaps:
    """Give the maps that are kept in a file, or make and keep them if anything has changed since.

    Args:
        file: where they are kept.
        model: a tuned model or its zero-shot reference.
        chosen: N images.
        targets: int64 [N], the class that each map explains.
        way: how to explain.
        made_of: what the maps depend on besides: weights, images, class prompts.
        batch_size: images that the model sees at a time.
        progress: show a progress bar.
        title: what stands beside it.

    Returns:
        The maps, in the order of the images.

    Raises:
        InputError: as the explainer, or if the file cannot be written.
    """
    if file.is_file():
        kept = _usable(file)
        if kept is not None and kept.ids == list(chosen.ids) and _same(kept.settings, way.settings(made_of)):
            return kept
    blocks = []
    with progress_bar(title, len(chosen), progress) as advance:
        for start in range(0, len(chosen), BLOCK):
            rows = range(start, min(start + BLOCK, len(chosen)))
            images = [np.asarray(chosen.images[row]) for row in rows]
            ids, own = [chosen.ids[row] for row in rows], targets[rows.start : rows.stop]
            blocks.append(
                way.explain(model, images, own, made_of, classes=chosen.classes, ids=ids, batch_size=batch_size)
            )
            advance(len(rows))
    maps = np.concatenate([block.maps for block in blocks])
    made = HeatMaps(maps, [one for block in blocks for one in block.ids], blocks[0].settings)
    made.save(file)
    return made


def _same(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(json.dumps(settings.get(key)) == json.dumps(value) for key, value in wanted.items())


def _usable(file: Path) -> HeatMaps | None:
    try:
        return HeatMaps.load(file)
    except InputError:  # of another version, or damaged: it is made again
        return None
