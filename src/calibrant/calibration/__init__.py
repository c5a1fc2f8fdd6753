"""Post-hoc calibration: maps from predictions to probabilities, fitted on held-out predictions."""

from __future__ import annotations

from calibrant.calibration.calibrator import Calibrator, LogitCalibrator, ProbabilityCalibrator
from calibrant.calibration.chain import Chain
from calibrant.calibration.registry import CALIBRATORS, calibrator, load
from calibrant.calibration.temperature import TemperatureScaling
from calibrant.calibration.uncalibrated import Uncalibrated

__all__ = [
    "CALIBRATORS",
    "Calibrator",
    "Chain",
    "LogitCalibrator",
    "ProbabilityCalibrator",
    "TemperatureScaling",
    "Uncalibrated",
    "calibrator",
    "load",
]
