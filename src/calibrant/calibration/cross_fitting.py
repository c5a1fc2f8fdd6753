"""Confidence of images that the calibrator has not learned from, where there are none to spare."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.calibration.calibrator import Calibrator
from calibrant.calibration.chain import unfitted_copy
from calibrant.errors import InputError
from calibrant.metrics.bootstrap import unit_index
from calibrant.predictions import Predictions


def cross_fitted(
    calibrator: Calibrator, predictions: Predictions, *, folds: int = 5, units: Any = None, seed: int = 0
) -> Float64:
    """Calibrate every sample by a copy of the calibrator that was fitted on other samples.

    Args:
        calibrator: decides the kind and its parameters; it is not changed, and what it has learned is not used.
        predictions: N samples, with labels if the calibrator needs them.
        folds: into how many parts the samples are divided.
        units: one value [N] per sample, equal for samples that depend on each other and so stay together; None if all
            are independent.
        seed: of the division.

    Returns:
        Probabilities, float64 [N, C].

    Raises:
        InputError: if there are fewer units than folds, or the calibrator cannot be fitted.

    Example:
        >>> from calibrant.calibration import TemperatureScaling
        >>> held_out = Predictions(logits=[[2.0, 0.0]] * 40, labels=[0, 0, 0, 1] * 10)
        >>> cross_fitted(TemperatureScaling(), held_out).shape
        (40, 2)
    """
    fold = fold_of(units, len(predictions), folds, seed)
    table = np.empty(predictions.logits.shape, dtype=np.float64)
    for number in range(folds):
        left_out = fold == number
        fitted = unfitted_copy(calibrator).fit(predictions.subset(~left_out))
        table[left_out] = fitted(predictions.subset(left_out))
    return table


def fold_of(units: Any, samples: int, folds: int, seed: int) -> Int64:
    """Divide samples into parts of about equal size, with those that depend on each other in one.

    Args:
        units: one value [N] per sample, or None if all are independent.
        samples: N.
        folds: how many parts.
        seed: of the draw.

    Returns:
        int64 [N], 0 to folds - 1; every part has at least one sample.

    Raises:
        InputError: if there are fewer units than folds, or only one fold.

    Example:
        >>> np.bincount(fold_of(None, 10, 5, seed=0))
        array([2, 2, 2, 2, 2])
    """
    unit, many = unit_index(units, samples)
    if not 2 <= folds <= many:
        raise InputError(f"{many} independent samples cannot be divided into {folds} parts")
    of_unit = np.random.default_rng(seed).permutation(many) % folds
    parts: Int64 = of_unit[unit].astype(np.int64)
    return parts
