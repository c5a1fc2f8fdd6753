"""Accuracy and calibration, measured with their uncertainty: pure functions on arrays."""

from __future__ import annotations

from calibrant.metrics.as_published import (
    PUBLISHED,
    arithmetic_hm,
    batch_mean_ece,
    dac_ace,
    dac_ece,
    dac_mce,
    dac_piece,
    published_errors,
)
from calibrant.metrics.average import average
from calibrant.metrics.binomial import clopper_pearson, share
from calibrant.metrics.calibration import calibration_error, calibration_error_from_logits
from calibrant.metrics.classwise import (
    calibration_error_per_class,
    classwise_calibration_error,
    full_calibration_error,
)
from calibrant.metrics.contrast import contrast, weight_correlation
from calibrant.metrics.definitions import definitions
from calibrant.metrics.diagnostics import feature_divergence, logit_gap, signed_gap, smallest_singular_value
from calibrant.metrics.estimate import Estimate
from calibrant.metrics.groups import GroupSummary, by_group
from calibrant.metrics.intervals import Interval, interval
from calibrant.metrics.ks import ks_error
from calibrant.metrics.noise_floor import noise_floor
from calibrant.metrics.paired import ece_difference, paired_difference
from calibrant.metrics.piece import piece
from calibrant.metrics.prediction_sets import SetSummary, set_summary
from calibrant.metrics.proximity import proximity
from calibrant.metrics.reliability import Reliability, reliability
from calibrant.metrics.scores import accuracy, brier, mean_confidence, nll, nll_from_logits
from calibrant.metrics.smooth import smooth_ece
from calibrant.metrics.summary import Measured, summary, summary_with_intervals

__all__ = [
    "PUBLISHED",
    "Estimate",
    "GroupSummary",
    "Interval",
    "Measured",
    "Reliability",
    "SetSummary",
    "accuracy",
    "arithmetic_hm",
    "average",
    "batch_mean_ece",
    "brier",
    "by_group",
    "calibration_error",
    "calibration_error_from_logits",
    "calibration_error_per_class",
    "classwise_calibration_error",
    "clopper_pearson",
    "contrast",
    "dac_ace",
    "dac_ece",
    "dac_mce",
    "dac_piece",
    "definitions",
    "ece_difference",
    "feature_divergence",
    "full_calibration_error",
    "interval",
    "ks_error",
    "logit_gap",
    "mean_confidence",
    "nll",
    "nll_from_logits",
    "noise_floor",
    "paired_difference",
    "piece",
    "proximity",
    "published_errors",
    "reliability",
    "set_summary",
    "share",
    "signed_gap",
    "smallest_singular_value",
    "smooth_ece",
    "summary",
    "summary_with_intervals",
    "weight_correlation",
]
