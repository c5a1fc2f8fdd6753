"""The calibrators by name, and reading them back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from calibrant.calibration.calibrator import FORMAT, Calibrator
from calibrant.calibration.temperature import TemperatureScaling
from calibrant.calibration.uncalibrated import Uncalibrated
from calibrant.errors import InputError, unknown
from calibrant.storage import read_json

CALIBRATORS: dict[str, type[Calibrator]] = {member.name: member for member in (Uncalibrated, TemperatureScaling)}


def calibrator(name: str, **parameters: Any) -> Calibrator:
    """Make a calibrator by its name.

    Args:
        name: such as ``"temperature"``; ``"none"`` leaves the probabilities as they are.
        parameters: of its constructor.

    Returns:
        The calibrator, not fitted.

    Raises:
        InputError: if the name or a parameter does not exist.

    Example:
        >>> calibrator("temperature")
        TemperatureScaling()
    """
    if name not in CALIBRATORS:
        raise unknown("calibrator", name, CALIBRATORS)
    made = CALIBRATORS[name]()
    return made.set_params(**parameters)


def load(path: str | Path) -> Calibrator:
    """Read a fitted calibrator.

    Args:
        path: the JSON file that `Calibrator.save` wrote.

    Returns:
        The calibrator, ready for use.

    Raises:
        InputError: if the file is missing, is no calibrator, or lacks or adds a value.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "temperature.json"
        >>> TemperatureScaling().fit([[2.0, 0.0]] * 4, [0, 0, 0, 1]).save(file)
        >>> round(load(file).temperature_, 4)
        1.8205
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"calibrator", "format", "parameters", "fitted"} <= content.keys():
        raise InputError(f"{path} does not hold a calibrator")
    if content["format"] != FORMAT:
        raise InputError(f"{path} has format {content['format']}, this Calibrant reads {FORMAT}; upgrade or fit again")
    try:
        made = calibrator(content["calibrator"], **content["parameters"])
        made.restore(content["fitted"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return made
