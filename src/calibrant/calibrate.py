"""Fit calibrators on held-out predictions, and find the one to use."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.errors import CalibrantWarning, InputError
from calibrant.storage import digest

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

DEFAULT = "temperature"
PART, CHOICE = "part", "choice"


def calibrate(
    source: str | Path | Run,
    method: str = DEFAULT,
    *,
    on: str = "validation",
    to: str | Path | None = None,
    offline: bool = False,
) -> dict[str, Any]:
    """Fit a calibrator and store it.

    For a run it is fitted on the part of the validation images that is meant for choosing methods and calibrators (the
    column ``part``), where the data set makes that difference; for a file of predictions on all of it.

    Args:
        source: a run, its folder, or a file of predictions with labels.
        method: a calibrator by name.
        on: for a run, the split to fit on.
        to: the JSON file to write; by default in the run, or beside the file of predictions.
        offline: never open a socket.

    Returns:
        ``calibrator``, ``file``, ``fitted_on``, ``n``, what was learned, and negative log-likelihood and ECE before and
        after on the same images.

    Raises:
        InputError: if the method is unknown, or the predictions have no labels.
    """
    from calibrant.calibration import calibrator
    from calibrant.metrics import summary

    made = calibrator(method)
    run, held_out = _held_out(source, on, offline)
    made.fit(held_out)
    file = _file(source, run, method, to)
    made.save(file)
    before, after = (
        summary(held_out.probabilities(), held_out.labels),
        summary(made(held_out), held_out.labels),
    )
    return {
        "calibrator": method,
        **{name.rstrip("_"): getattr(made, name) for name in made.fitted},
        "fitted_on": f"{held_out.about.get('data', source)} {held_out.about.get('split', '')}".strip(),
        "n": len(held_out),
        "nll_before": before["nll"],
        "nll_after": after["nll"],
        "ece_before": before["ece"],
        "ece_after": after["ece"],
        "file": str(file),
    }


def calibrator_of(run: Run, chosen: str | None, classes: Sequence[str], *, offline: bool = False) -> Calibrator:
    """Find the calibrator to use, and fit the default one if the run has none yet.

    Args:
        run: the run.
        chosen: a calibrator file, one of the run's by name, ``"none"``, or None for the run's.
        classes: the class list it is to be used for.
        offline: never open a socket, should validation images have to be predicted.

    Returns:
        A fitted calibrator.

    Raises:
        InputError: if there is no such calibrator, or it cannot be used for other classes than the tuned ones.

    Warns:
        CalibrantWarning: if confidence has not been checked for this class list, or cannot be calibrated.
    """
    from calibrant import calibration

    if chosen == "none":
        return calibration.Uncalibrated()
    if chosen is not None:
        found = calibration.load(chosen) if Path(chosen).is_file() else run.calibrator(chosen)
    else:
        found = _default(run, offline)
    if list(classes) != run.classes:
        if not found.transfers:
            raise InputError(
                f"calibrator '{found.name}' knows only the tuned classes; choose another with --calibrator"
            )
        warnings.warn(
            "the class list is not the one that was tuned: the confidence is calibrated for the tuned classes "
            "and has not been checked for this list",
            CalibrantWarning,
            stacklevel=2,
        )
    return found


def calibrator_digest(calibrator: Calibrator) -> str:
    """Name a fitted calibrator by what it does."""
    return digest(
        calibrator.name,
        calibrator.get_params(),
        {name: getattr(calibrator, name) for name in calibrator.fitted},
    )


def _default(run: Run, offline: bool) -> Calibrator:
    from calibrant import calibration

    stored = run.calibrators()
    if stored:
        return stored.get(DEFAULT) or next(iter(stored.values()))
    if "validation" not in run.record["counts"]:
        warnings.warn(
            f"{run.record['data']['name']} has no validation images, so the confidence is not calibrated",
            CalibrantWarning,
            stacklevel=3,
        )
        return calibration.Uncalibrated()
    calibrate(run, offline=offline)
    return run.calibrator(DEFAULT)


def _held_out(source: str | Path | Run, split: str, offline: bool) -> tuple[Run | None, Predictions]:
    from calibrant.predictions import read_predictions
    from calibrant.runs import Run

    if not isinstance(source, Run) and not Path(source).is_dir():
        return None, _labelled(read_predictions(source), str(source))
    run = source if isinstance(source, Run) else Run.load(source)
    name = run.record["data"]["name"]
    file = run.predictions_file(name, split)
    held_out = run.stored(name, split) if file.is_file() else run.predict(name, split, offline=offline)
    if PART in held_out.columns and (held_out.columns[PART] == CHOICE).any():
        held_out = held_out.subset(held_out.columns[PART] == CHOICE)
    return run, _labelled(held_out, f"{name} {split}")


def _labelled(held_out: Predictions, what: str) -> Predictions:
    if held_out.labels is None:
        raise InputError(f"{what}: a calibrator is fitted on labelled predictions, and these have no labels")
    inside = held_out.labels >= 0
    if not inside.any():
        raise InputError(f"{what}: no sample belongs to one of the classes")
    return held_out.subset(inside)


def _file(source: str | Path | Run, run: Run | None, method: str, to: str | Path | None) -> Path:
    if to is not None:
        return Path(to)
    if run is not None:
        return run.calibrator_file(method)
    return Path(str(source)).with_suffix(f".{method}.json")
