"""Accuracy and calibration, measured with their uncertainty: pure functions on arrays."""

from __future__ import annotations

from calibrant.metrics.binomial import clopper_pearson, share
from calibrant.metrics.calibration import calibration_error
from calibrant.metrics.contrast import contrast, weight_correlation
from calibrant.metrics.definitions import definitions
from calibrant.metrics.diagnostics import feature_divergence, logit_gap, signed_gap, smallest_singular_value
from calibrant.metrics.estimate import Estimate
from calibrant.metrics.groups import GroupSummary, by_group
from calibrant.metrics.intervals import Interval, interval
from calibrant.metrics.noise_floor import noise_floor
from calibrant.metrics.paired import ece_difference, paired_difference
from calibrant.metrics.reliability import Reliability, reliability
from calibrant.metrics.scores import accuracy, brier, mean_confidence, nll, nll_from_logits
from calibrant.metrics.summary import Measured, summary, summary_with_intervals

__all__ = [
    "Estimate",
    "GroupSummary",
    "Interval",
    "Measured",
    "Reliability",
    "accuracy",
    "brier",
    "by_group",
    "calibration_error",
    "clopper_pearson",
    "contrast",
    "definitions",
    "ece_difference",
    "feature_divergence",
    "interval",
    "logit_gap",
    "mean_confidence",
    "nll",
    "nll_from_logits",
    "noise_floor",
    "paired_difference",
    "reliability",
    "share",
    "signed_gap",
    "smallest_singular_value",
    "summary",
    "summary_with_intervals",
    "weight_correlation",
]
