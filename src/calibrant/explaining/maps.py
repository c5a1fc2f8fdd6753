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
PLACE = ("images",)
"""Settings that say which images were explained, not how."""


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
        if kept is not None and kept.ids == list(chosen.ids) and _same(kept.settings, way, made_of):
            return kept
    made = make_maps(model, chosen, targets, way, batch_size=batch_size, progress=progress, title=title)
    asked = {"target": way.target, **made_of, **_asked(way)}
    made = HeatMaps(made.maps, made.ids, {**made.settings, **asked})
    made.save(file)
    return made


def make_maps(
    model: Answers,
    chosen: EvaluationSet,
    targets: Int64,
    way: Way,
    *,
    batch_size: int = 32,
    progress: bool = False,
    title: str = "explain",
) -> HeatMaps:
    """Explain an evaluation set; only a block of its images is in memory at a time.

    Args:
        model: a tuned model or its zero-shot reference.
        chosen: N images.
        targets: int64 [N], the class that each map explains.
        way: how to explain.
        batch_size: images that the model sees at a time.
        progress: show a progress bar.
        title: what stands beside it.

    Returns:
        The maps, in the order of the images.

    Raises:
        InputError: as the explainer.
    """
    from calibrant.rationality.explainers.registry import explainer

    explain = explainer(way.explainer, **way.parameters).explain
    options: dict[str, Any] = {"score": way.score, "layers": way.layers, "batch_size": batch_size}
    blocks = []
    with progress_bar(title, len(chosen), progress) as advance:
        for start in range(0, len(chosen), BLOCK):
            rows = range(start, min(start + BLOCK, len(chosen)))
            images = [np.asarray(chosen.images[row]) for row in rows]
            ids = [chosen.ids[row] for row in rows]
            blocks.append(
                explain(model, images, targets[rows.start : rows.stop], classes=chosen.classes, ids=ids, **options)
            )
            advance(len(rows))
    maps = np.concatenate([block.maps for block in blocks])
    return HeatMaps(maps, [one for block in blocks for one in block.ids], blocks[0].settings)


def of_any_images(maps: HeatMaps) -> HeatMaps:
    """Forget which images were explained, so that maps of others, made in the same way, can be compared with these."""
    how = {key: value for key, value in maps.settings.items() if key not in PLACE}
    return HeatMaps(maps.maps, maps.ids, how)


def _asked(way: Way) -> dict[str, Any]:
    """What was asked for; an explainer that always reads the same layers says so in settings of its own."""
    return {"asked": {"explainer": way.explainer, "layers": way.layers, "parameters": dict(way.parameters)}}


def _same(settings: Mapping[str, Any], way: Way, made_of: Mapping[str, Any]) -> bool:
    wanted = {"target": way.target, "score": way.score, **made_of, **_asked(way)}
    return all(json.dumps(settings.get(key)) == json.dumps(value) for key, value in wanted.items())


def _usable(file: Path) -> HeatMaps | None:
    try:
        return HeatMaps.load(file)
    except InputError:  # of another version, or damaged: it is made again
        return None
