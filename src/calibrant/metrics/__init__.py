"""Accuracy and calibration, measured with their uncertainty: pure functions on arrays."""

from __future__ import annotations

from calibrant.metrics.calibration import calibration_error
from calibrant.metrics.definitions import definitions
from calibrant.metrics.groups import GroupSummary, by_group
from calibrant.metrics.intervals import Interval, clopper_pearson, interval
from calibrant.metrics.noise_floor import noise_floor
from calibrant.metrics.reliability import Reliability, reliability
from calibrant.metrics.scores import accuracy, brier, mean_confidence, nll, nll_from_logits
from calibrant.metrics.summary import Measured, summary, summary_with_intervals

__all__ = [
    "GroupSummary",
    "Interval",
    "Measured",
    "Reliability",
    "accuracy",
    "brier",
    "by_group",
    "calibration_error",
    "clopper_pearson",
    "definitions",
    "interval",
    "mean_confidence",
    "nll",
    "nll_from_logits",
    "noise_floor",
    "reliability",
    "summary",
    "summary_with_intervals",
]
