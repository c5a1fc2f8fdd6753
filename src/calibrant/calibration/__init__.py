"""Post-hoc calibration: maps from logits to probabilities, fitted on held-out predictions."""

from __future__ import annotations

from calibrant.calibration.calibrator import Calibrator
from calibrant.calibration.registry import CALIBRATORS, calibrator, load
from calibrant.calibration.temperature import TemperatureScaling
from calibrant.calibration.uncalibrated import Uncalibrated

__all__ = ["CALIBRATORS", "Calibrator", "TemperatureScaling", "Uncalibrated", "calibrator", "load"]
