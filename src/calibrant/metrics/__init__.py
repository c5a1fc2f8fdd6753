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
from calibrant.metrics.brier_decomposition import BrierParts, brier_decomposition
from calibrant.metrics.calibration import calibration_error, calibration_error_from_logits
from calibrant.metrics.classwise import (
    calibration_error_per_class,
    classwise_calibration_error,
    full_calibration_error,
)
from calibrant.metrics.comparison import compare
from calibrant.metrics.contrast import contrast, weight_correlation
from calibrant.metrics.definitions import definitions
from calibrant.metrics.diagnostics import feature_divergence, logit_gap, signed_gap, smallest_singular_value
from calibrant.metrics.estimate import Estimate
from calibrant.metrics.groups import GroupSummary, by_group
from calibrant.metrics.intervals import Interval, interval
from calibrant.metrics.ks import ks_error
from calibrant.metrics.noise_floor import calibration_p_value, noise_floor
from calibrant.metrics.overconfidence import ConfidenceSplit, confidence_split
from calibrant.metrics.paired import confidence_gap, ece_difference, paired_difference
from calibrant.metrics.per_class import PerClass, balanced_accuracy, macro_f1, per_class
from calibrant.metrics.piece import piece
from calibrant.metrics.prediction_sets import SetSummary, set_summary
from calibrant.metrics.proximity import proximity
from calibrant.metrics.reliability import Reliability, reliability
from calibrant.metrics.scores import accuracy, brier, mean_confidence, nll, nll_from_logits
from calibrant.metrics.selective import aurc, confidence_auroc, coverage_at_risk, e_aurc, fpr_at_95
from calibrant.metrics.smooth import smooth_ece
from calibrant.metrics.summary import Measured, summary, summary_with_intervals
from calibrant.metrics.two_classes import (
    class_auprc,
    class_auroc,
    negative_predictive_value,
    positive_predictive_value,
    sensitivity,
    specificity,
    two_class_summary,
)
from calibrant.metrics.unknown import class_share, energy, max_softmax, unknown_summary

__all__ = [
    "PUBLISHED",
    "BrierParts",
    "ConfidenceSplit",
    "Estimate",
    "GroupSummary",
    "Interval",
    "Measured",
    "PerClass",
    "Reliability",
    "SetSummary",
    "accuracy",
    "arithmetic_hm",
    "aurc",
    "average",
    "balanced_accuracy",
    "batch_mean_ece",
    "brier",
    "brier_decomposition",
    "by_group",
    "calibration_error",
    "calibration_error_from_logits",
    "calibration_error_per_class",
    "calibration_p_value",
    "class_auprc",
    "class_auroc",
    "class_share",
    "classwise_calibration_error",
    "clopper_pearson",
    "compare",
    "confidence_auroc",
    "confidence_gap",
    "confidence_split",
    "contrast",
    "coverage_at_risk",
    "dac_ace",
    "dac_ece",
    "dac_mce",
    "dac_piece",
    "definitions",
    "e_aurc",
    "ece_difference",
    "energy",
    "feature_divergence",
    "fpr_at_95",
    "full_calibration_error",
    "interval",
    "ks_error",
    "logit_gap",
    "macro_f1",
    "max_softmax",
    "mean_confidence",
    "negative_predictive_value",
    "nll",
    "nll_from_logits",
    "noise_floor",
    "paired_difference",
    "per_class",
    "piece",
    "positive_predictive_value",
    "proximity",
    "published_errors",
    "reliability",
    "sensitivity",
    "set_summary",
    "share",
    "signed_gap",
    "smallest_singular_value",
    "smooth_ece",
    "specificity",
    "summary",
    "summary_with_intervals",
    "two_class_summary",
    "unknown_summary",
    "weight_correlation",
]
