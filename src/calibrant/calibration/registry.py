"""The calibrators by name, and reading them back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from calibrant.calibration import calibrator_file
from calibrant.calibration.bbq import BBQ
from calibrant.calibration.beta import BetaCalibration
from calibrant.calibration.bin_mean_shift import BinMeanShift
from calibrant.calibration.calibrator import Calibrator
from calibrant.calibration.chain import Chain, check_order
from calibrant.calibration.contrast_aware import ContrastAware
from calibrant.calibration.density_ratio import DensityRatio
from calibrant.calibration.dirichlet import Dirichlet
from calibrant.calibration.distance_aware import DistanceAware
from calibrant.calibration.ece_temperature import ECETemperature
from calibrant.calibration.ensemble_temperature import EnsembleTemperature
from calibrant.calibration.histogram import HistogramBinning
from calibrant.calibration.isotonic import IsotonicRegression
from calibrant.calibration.matrix import MatrixScaling
from calibrant.calibration.multi_isotonic import MultiIsotonic
from calibrant.calibration.parametrized_temperature import ParametrizedTemperature
from calibrant.calibration.shift_robust import ShiftRobustTemperature
from calibrant.calibration.spline import SplineCalibration
from calibrant.calibration.temperature import TemperatureScaling
from calibrant.calibration.uncalibrated import Uncalibrated
from calibrant.calibration.vector import VectorScaling
from calibrant.calibration.zero_shot_normalization import ZeroShotNormalization
from calibrant.calibration.zero_shot_temperature import ZeroShotTemperature
from calibrant.errors import InputError, unknown

# best_of, which makes others by their names and so stands above this file, adds itself
CALIBRATORS: dict[str, type[Calibrator]] = {
    member.name: member
    for member in (
        Uncalibrated,
        TemperatureScaling,
        ECETemperature,
        ShiftRobustTemperature,
        EnsembleTemperature,
        ParametrizedTemperature,
        VectorScaling,
        MatrixScaling,
        Dirichlet,
        DistanceAware,
        ContrastAware,
        ZeroShotTemperature,
        ZeroShotNormalization,
        HistogramBinning,
        IsotonicRegression,
        MultiIsotonic,
        SplineCalibration,
        BetaCalibration,
        BBQ,
        BinMeanShift,
        DensityRatio,
    )
}


def calibrator(name: str, **parameters: Any) -> Calibrator:
    """Make a calibrator by its name.

    Args:
        name: such as ``"temperature"``, or names with plus signs between them, such as ``"dac+temperature"``, for a
            chain; ``"none"`` leaves the probabilities as they are.
        parameters: of its constructor; those of a chain go by the name of the part: ``dac={"k": 3}``.

    Returns:
        The calibrator, not fitted.

    Raises:
        InputError: if the name or a parameter does not exist, or the parts of a chain cannot stand in this order.

    Example:
        >>> calibrator("temperature"), calibrator("none+temperature").name
        (TemperatureScaling(), 'none+temperature')
    """
    if "+" in name:
        return _chain(name.split("+"), parameters)
    if name not in CALIBRATORS:
        raise unknown("calibrator", name, CALIBRATORS)
    made = CALIBRATORS[name]()
    return made.set_params(**parameters)


def load(path: str | Path) -> Calibrator:
    """Read a fitted calibrator.

    Args:
        path: the file that `Calibrator.save` wrote.

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
    state = calibrator_file.read(path)
    try:
        made = from_state(state)
        made.check_fitted()
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return made


def _chain(names: list[str], parameters: Mapping[str, Any]) -> Chain:
    for part in parameters:
        if part not in names:
            raise unknown(f"part of the chain {'+'.join(names)}", part, names)
    parts = [calibrator(name, **parameters.get(name, {})) for name in names]
    check_order(parts)
    return Chain(parts)


def from_state(state: Mapping[str, Any]) -> Calibrator:
    """Build a calibrator, and those inside it, from what `Calibrator.state` gave."""
    name, parameters = str(state["calibrator"]), _revived(state["parameters"])
    # only a chain stores its parts as a parameter; its name says nothing that they do not
    made = Chain(**parameters) if "parts" in parameters else calibrator(name, **parameters)
    if state.get("classes") is not None:
        made.restore(_revived(state["fitted"]), state["classes"])
    return made


def _revived(value: Any) -> Any:
    if isinstance(value, list):
        return [_revived(item) for item in value]
    if isinstance(value, Mapping):
        if {"calibrator", "parameters", "fitted"} <= value.keys():
            return from_state(value)
        return {name: _revived(item) for name, item in value.items()}
    return value
