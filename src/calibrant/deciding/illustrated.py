"""Pictures beside the answers of a run: what an explainer says about each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from calibrant.calibrate import calibrator_digest
from calibrant.errors import InputError
from calibrant.predict import depends_on

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.rationality.illustrating import Illustrator
    from calibrant.rationality.way import Way
    from calibrant.runs import Run


def illustrator_of(
    run: Run, folder: str | Path | None, way: Way | None, calibrator: Calibrator, *, offline: bool = False
) -> Illustrator | None:
    """Make what draws the answers of a run.

    Args:
        run: the run; its confidence for "right for the right reason" is used if it has one.
        folder: in which the pictures are written; None for no pictures.
        way: how to explain; by default the attention gradient of the last block. Whatever its target, the prediction is
            explained.
        calibrator: whose confidence stands beside the answers.
        offline: never open a socket.

    Returns:
        The illustrator, or None without a folder.

    Raises:
        InputError: if a way is given without a folder, the folder is a file, or the explainer does not exist.
    """
    from calibrant.rationality import RightReason
    from calibrant.rationality.illustrating import Illustrator
    from calibrant.rationality.way import Way

    if folder is None:
        if way is not None:
            raise InputError("--explainer says how to draw the pictures of --explain FOLDER, which is missing")
        return None
    if Path(folder).exists() and not Path(folder).is_dir():
        raise InputError(f"{folder} is a file; choose a folder for the pictures of --explain")
    (chosen := replace(way or Way(), target="prediction")).refuse_unknown()
    model = run.tuned_model(offline=offline)
    learnt = RightReason.load(run.right_reason_file) if run.right_reason_file.is_file() else None
    named = calibrator_digest(calibrator)
    return Illustrator(Path(folder), chosen, model, depends_on(run, model), named, learnt)
