"""Fit calibrators on held-out predictions, and find the one to use."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.errors import CalibrantWarning, InputError

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

DEFAULT = "temperature"
NONE = "none"  # the name of probabilities as they are
PART, CHOICE = "part", "choice"
COMMANDS = "calibrate_commands"  # in the record of a run: calibrator to the command line that made it


def calibrate(
    source: str | Path | Run,
    method: str = DEFAULT,
    *,
    on: str = "validation",
    shifted: Sequence[str | Path] = (),
    to: str | Path | None = None,
    offline: bool = False,
) -> dict[str, Any]:
    """Fit a calibrator and store it.

    For a run it is fitted on the part of the validation images that is meant for choosing methods and calibrators (the
    column ``part``), where the data set makes that difference; for a file of predictions on all of it.

    Args:
        source: a run, its folder, or a file of predictions with labels.
        method: a calibrator by name, or names with plus signs between them for a chain.
        on: for a run, the split to fit on.
        shifted: files of predictions on shifted images, with the same classes and with labels; only some methods learn
            from them (ts-p).
        to: the file to write; by default in the run, or beside the file of predictions, as ``.safetensors`` where
            arrays were learned and as ``.json`` otherwise.
        offline: never open a socket.

    Returns:
        ``calibrator``, ``file``, ``fitted_on``, ``n``, the numbers that were learned, and negative log-likelihood and
        ECE before and after on the same images.

    Raises:
        InputError: if the method is unknown, or the predictions have no labels or lack something that it reads.
    """
    from calibrant.calibration import calibrator
    from calibrant.metrics import summary
    from calibrant.predictions import read_predictions
    from calibrant.runs.command_line import calibrate_command

    made = calibrator(method)
    run, held_out = _held_out(source, on, offline)
    made.fit(held_out, shifted=[labelled(read_predictions(one), str(one)) for one in shifted])
    file = _file(source, run, made, to)
    made.save(file)
    if run is not None and to is None:  # the last one may have been stored the other way
        file.with_suffix({".json": ".safetensors"}.get(file.suffix, ".json")).unlink(missing_ok=True)
        commands = {**run.record.get(COMMANDS, {}), made.name: calibrate_command(run.path, method, on, shifted)}
        run.write_record(**{COMMANDS: commands})
    before, after = (
        summary(held_out.probabilities(), held_out.labels),
        summary(made(held_out), held_out.labels),
    )
    return {
        "calibrator": method,
        **learned_numbers(made),
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


def preferred(calibrators: Mapping[str, Calibrator]) -> Calibrator:
    """Choose the calibrator to go by where nobody has: temperature scaling, or else the first.

    Those that had no optimum on the samples they were fitted on (``at_bound_``) come last.

    Args:
        calibrators: name to fitted calibrator, at least one.

    Returns:
        One of them.

    Example:
        >>> from calibrant.calibration.registry import calibrator
        >>> preferred({name: calibrator(name).fit([[2.0, 0.0]] * 4, [0, 0, 0, 1]) for name in ("vector", DEFAULT)})
        TemperatureScaling()
    """
    among = {name: one for name, one in calibrators.items() if settled(one)} or calibrators
    return among.get(DEFAULT) or next(iter(among.values()))


def settled(calibrator: Calibrator) -> bool:
    """Tell whether a fitted calibrator had an optimum on the samples it was fitted on.

    Example:
        >>> from calibrant.calibration.registry import calibrator
        >>> settled(calibrator("temperature").fit([[2.0, 0.0]] * 4, [0, 0, 0, 1]))
        True
    """
    return not learned_numbers(calibrator).get("at_bound", False)


def usable(calibrators: Mapping[str, Calibrator], predictions: Predictions) -> dict[str, Calibrator]:
    """Choose the calibrators that can be used for predictions.

    Args:
        calibrators: name to fitted calibrator.
        predictions: what is to be calibrated.

    Returns:
        Those that know the classes and find all that they read.

    Warns:
        CalibrantWarning: for each of the others, with the reason.
    """
    one, found = predictions.subset([0]), {}
    for name, calibrator in calibrators.items():
        try:
            calibrator(one)
        except InputError as reason:
            what = predictions.about.get("data") or "these predictions"
            warnings.warn(f"{what}: calibrator '{name}' is left out: {reason}", CalibrantWarning, stacklevel=2)
        else:
            found[name] = calibrator
    return found


def learned_numbers(calibrator: Calibrator) -> dict[str, Any]:
    """Give what a fitted calibrator has learned as far as it is single numbers and words; a chain's by its parts.

    Example:
        >>> from calibrant.calibration.registry import calibrator
        >>> made = calibrator("none+temperature").fit([[2.0, 0.0]] * 4, [0, 0, 0, 1])
        >>> learned_numbers(made)["at_bound"]
        False
    """
    from calibrant.calibration import Calibrator, Chain

    if isinstance(calibrator, Chain):
        return {name: value for part in calibrator.parts_ for name, value in learned_numbers(part).items()}
    learned: dict[str, Any] = {}
    for name in calibrator.fitted:
        value = getattr(calibrator, name)
        if isinstance(value, Calibrator):  # the one that was chosen, with what it has learned
            learned |= {name.rstrip("_"): value.name, **learned_numbers(value)}
        elif isinstance(value, bool | int | float | str):
            learned[name.rstrip("_")] = value
    return learned


def calibrator_digest(calibrator: Calibrator) -> str:
    """Name a fitted calibrator by what it does."""
    from calibrant.calibration.calibrator_file import state_digest

    return state_digest(calibrator.state())


def _default(run: Run, offline: bool) -> Calibrator:
    from calibrant import calibration

    stored = run.calibrators()
    if stored:
        return preferred(stored)
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
        return None, labelled(read_predictions(source), str(source))
    run = source if isinstance(source, Run) else Run.load(source)
    held_out = predictions_of(run, split, offline=offline)
    if PART in held_out.columns and (held_out.columns[PART] == CHOICE).any():
        held_out = held_out.subset(held_out.columns[PART] == CHOICE)
    return run, labelled(held_out, f"{run.record['data']['name']} {split}")


def predictions_of(run: Run, split: str, *, offline: bool = False) -> Predictions:
    """Read what a run has predicted on a split of the data that was tuned on, or predict it."""
    name = run.record["data"]["name"]
    file = run.predictions_file(name, split)
    return run.stored(name, split) if file.is_file() else run.predict(name, split, offline=offline)


def labelled(held_out: Predictions, what: str) -> Predictions:
    """Choose the samples that belong to one of the classes; `InputError` if there is none, naming what they are."""
    if held_out.labels is None:
        raise InputError(f"{what}: a calibrator is fitted on labelled predictions, and these have no labels")
    inside = held_out.labels >= 0
    if not inside.any():
        raise InputError(f"{what}: no sample belongs to one of the classes")
    return held_out.subset(inside)


def _file(source: str | Path | Run, run: Run | None, made: Calibrator, to: str | Path | None) -> Path:
    from calibrant.calibration.calibrator_file import has_arrays

    if to is not None:
        return Path(to)
    ending = ".safetensors" if has_arrays(made.state()) else ".json"
    if run is not None:
        return run.calibrator_file(made.name, ending)
    return Path(str(source)).with_suffix(f".{made.name}{ending}")
