"""Post-hoc calibration: maps from predictions to probabilities, fitted on held-out predictions."""

from __future__ import annotations

from calibrant.calibration.bbq import BBQ
from calibrant.calibration.best_of import BestOf
from calibrant.calibration.beta import BetaCalibration
from calibrant.calibration.bin_mean_shift import BinMeanShift
from calibrant.calibration.calibrator import Calibrator, LogitCalibrator, ProbabilityCalibrator
from calibrant.calibration.chain import Chain
from calibrant.calibration.conformal import AdaptiveSets, ClassConditionalSets, RegularizedSets, ThresholdSets
from calibrant.calibration.conformal_file import load_sets, save_sets
from calibrant.calibration.contrast_aware import ContrastAware
from calibrant.calibration.cost_thresholds import ClassThreshold, class_thresholds
from calibrant.calibration.costs import Costs, CostSummary, cost_summary
from calibrant.calibration.costs_file import read_costs
from calibrant.calibration.cross_fitting import cross_fitted
from calibrant.calibration.density_ratio import DensityRatio
from calibrant.calibration.diagnostics import cac_sensitivity, contrasts, dac_sensitivity, weight_correlations
from calibrant.calibration.dirichlet import Dirichlet
from calibrant.calibration.distance_aware import DistanceAware
from calibrant.calibration.ece_temperature import ECETemperature
from calibrant.calibration.ensemble_temperature import EnsembleTemperature
from calibrant.calibration.familiarity import KnownRule, known_rule, known_score
from calibrant.calibration.histogram import HistogramBinning
from calibrant.calibration.isotonic import IsotonicRegression
from calibrant.calibration.matrix import MatrixScaling
from calibrant.calibration.multi_isotonic import MultiIsotonic
from calibrant.calibration.parametrized_temperature import ParametrizedTemperature
from calibrant.calibration.prior import Prior, PriorCorrection, class_frequencies, estimated_prior, given_prior
from calibrant.calibration.registry import CALIBRATORS, calibrator, load
from calibrant.calibration.selective import AnswerRule, answer_rule, answers_needed, candidate_thresholds
from calibrant.calibration.shift_robust import ShiftRobustTemperature
from calibrant.calibration.spline import SplineCalibration
from calibrant.calibration.temperature import TemperatureScaling
from calibrant.calibration.uncalibrated import Uncalibrated
from calibrant.calibration.vector import VectorScaling
from calibrant.calibration.zero_shot_normalization import ZeroShotNormalization
from calibrant.calibration.zero_shot_temperature import ZeroShotTemperature

__all__ = [
    "BBQ",
    "CALIBRATORS",
    "AdaptiveSets",
    "AnswerRule",
    "BestOf",
    "BetaCalibration",
    "BinMeanShift",
    "Calibrator",
    "Chain",
    "ClassConditionalSets",
    "ClassThreshold",
    "ContrastAware",
    "CostSummary",
    "Costs",
    "DensityRatio",
    "Dirichlet",
    "DistanceAware",
    "ECETemperature",
    "EnsembleTemperature",
    "HistogramBinning",
    "IsotonicRegression",
    "KnownRule",
    "LogitCalibrator",
    "MatrixScaling",
    "MultiIsotonic",
    "ParametrizedTemperature",
    "Prior",
    "PriorCorrection",
    "ProbabilityCalibrator",
    "RegularizedSets",
    "ShiftRobustTemperature",
    "SplineCalibration",
    "TemperatureScaling",
    "ThresholdSets",
    "Uncalibrated",
    "VectorScaling",
    "ZeroShotNormalization",
    "ZeroShotTemperature",
    "answer_rule",
    "answers_needed",
    "cac_sensitivity",
    "calibrator",
    "candidate_thresholds",
    "class_frequencies",
    "class_thresholds",
    "contrasts",
    "cost_summary",
    "cross_fitted",
    "dac_sensitivity",
    "estimated_prior",
    "given_prior",
    "known_rule",
    "known_score",
    "load",
    "load_sets",
    "read_costs",
    "save_sets",
    "weight_correlations",
]
