"""Prediction sets in files, with the calibrator whose probabilities they use."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.calibration import calibrator_file
from calibrant.calibration.calibrator import Calibrator
from calibrant.calibration.conformal import (
    AdaptiveSets,
    ClassConditionalSets,
    ConformalSets,
    RegularizedSets,
    ThresholdSets,
)
from calibrant.calibration.registry import from_state
from calibrant.errors import InputError, unknown

SETS: dict[str, type[ConformalSets]] = {
    kind.name: kind for kind in (ThresholdSets, AdaptiveSets, RegularizedSets, ClassConditionalSets)
}
KEYS = frozenset({"sets", "format", "parameters", "classes", "thresholds"})
EVERYTHING = None  # JSON has no infinity: a threshold that lets every class in


def save_sets(sets: ConformalSets, path: str | Path) -> None:
    """Write fitted prediction sets to a file that `load_sets` reads.

    Args:
        sets: the sets.
        path: the file; if it ends in ``.safetensors``, arrays of the calibrator are tensors, otherwise it is JSON.

    Raises:
        InputError: if the sets or their calibrator are not fitted, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "sets.json"
        >>> save_sets(ThresholdSets(alpha=0.25).fit([[2.0, 0.0]] * 20, [0] * 19 + [1]), file)
        >>> load_sets(file).sets([[2.0, 0.0], [0.0, 3.0]])
        array([[ True, False],
               [False,  True]])
    """
    if not hasattr(sets, "classes_"):
        raise InputError(f"the sets '{sets.name}' are not fitted; call fit on held-out predictions first")
    calibrator_file.write(path, _state(sets))


def load_sets(path: str | Path) -> ConformalSets:
    """Read fitted prediction sets.

    Args:
        path: what `save_sets` wrote.

    Returns:
        The sets, ready for use.

    Raises:
        InputError: if the file is missing, truncated, or holds no prediction sets.
    """
    state = calibrator_file.read(path, KEYS, "prediction sets")
    try:
        return _made_of(state)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not hold prediction sets: a value is missing or broken ({error})") from error


def _state(sets: ConformalSets) -> dict[str, Any]:
    limits = sets.thresholds_ if isinstance(sets, ClassConditionalSets) else [getattr(sets, "threshold_", math.inf)]
    parameters = {name: _value(sets, name) for name in inspect.signature(type(sets)).parameters}
    return {
        "sets": sets.name,
        "parameters": parameters,
        "classes": getattr(sets, "classes_", None),
        "thresholds": [EVERYTHING if math.isinf(limit) else float(limit) for limit in limits],
    }


def _value(sets: ConformalSets, name: str) -> Any:
    if isinstance(sets, ClassConditionalSets):
        return _state(sets.inner)  # its one parameter
    value = getattr(sets, name)
    if isinstance(value, Calibrator):
        value.check_fitted()
        return value.state()
    return value


def _made_of(state: Mapping[str, Any]) -> ConformalSets:
    if state["sets"] not in SETS:
        raise unknown("kind of prediction sets", str(state["sets"]), SETS)
    parameters = dict(state["parameters"])
    if parameters.get("calibrator") is not None:
        parameters["calibrator"] = from_state(parameters["calibrator"])
    if "sets" in parameters:
        parameters["sets"] = _made_of(parameters["sets"])
    made = SETS[state["sets"]](**parameters)
    if state["classes"] is None:
        return made
    limits = np.array([math.inf if limit is EVERYTHING else float(limit) for limit in state["thresholds"]])
    made.classes_, made.threshold_ = list(state["classes"]), float(limits.max())
    if isinstance(made, ClassConditionalSets):
        if len(limits) != len(made.classes_):
            raise InputError(f"there are {len(limits)} thresholds for {len(made.classes_)} classes")
        made.thresholds_ = limits
    return made
