"""Pictures beside the answers of a run: what an explainer says about each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibrant.calibrate import calibrator_digest
from calibrant.errors import InputError
from calibrant.predict import depends_on

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.rationality.illustrating import Illustrator
    from calibrant.rationality.way import Way
    from calibrant.runs import Run


def refuse_pictures(folder: str | Path | None, way: Way | None, images: Sequence[str | Path]) -> None:
    """Refuse pictures that cannot be drawn, before anything is read.

    Args:
        folder: in which they are to be written; None for no pictures.
        way: how to explain; None for the default.
        images: folders and files that are classified.

    Raises:
        InputError: if a way is given without a folder, the explainer does not exist, or the folder is a file or lies
            among the images.
    """
    if folder is None:
        if way is not None:
            raise InputError("--explainer says how to draw the pictures of --explain FOLDER, which is missing")
        return
    if Path(folder).exists() and not Path(folder).is_dir():
        raise InputError(f"{folder} is a file; choose a folder for the pictures of --explain")
    # the next call would take the pictures for images
    written = Path(folder).resolve()
    if around := [place for place in images if Path(place).is_dir() and written.is_relative_to(Path(place).resolve())]:
        raise InputError(f"the pictures of --explain would lie among the images of {around[0]}; choose another folder")
    if way is not None:
        way.refuse_unknown()


def illustrator_of(
    run: Run,
    folder: str | Path | None,
    way: Way | None,
    calibrator: Calibrator,
    names: Sequence[str],
    *,
    offline: bool = False,
) -> Illustrator | None:
    """Make what draws the answers of a run.

    Args:
        run: the run; its confidence for "right for the right reason" is used if it has one.
        folder: in which the pictures are written, see `refuse_pictures`; None for no pictures.
        way: how to explain; by default the attention gradient of the last block. Whatever its target, the prediction is
            explained.
        calibrator: whose confidence stands beside the answers.
        names: the class list that is chosen from.
        offline: never open a socket.

    Returns:
        The illustrator, or None without a folder.

    Raises:
        InputError: if the model has not what the explainer reads.
    """
    from calibrant.rationality import RightReason
    from calibrant.rationality.illustrating import Illustrator
    from calibrant.rationality.way import Way

    if folder is None:
        return None
    chosen = replace(way or Way(), target="prediction")
    model = run.tuned_model(offline=offline)
    depends = depends_on(run, model)
    # what the explainer cannot do with this model shows on a grey image, before there are rows
    grey = np.full((*model.encoder.preprocessing.size, 3), 128, np.uint8)
    chosen.explain(model, [grey], [0], depends, classes=names, ids=["grey"])
    learnt = RightReason.load(run.right_reason_file) if run.right_reason_file.is_file() else None
    return Illustrator(Path(folder), chosen, model, depends, calibrator_digest(calibrator), learnt)
