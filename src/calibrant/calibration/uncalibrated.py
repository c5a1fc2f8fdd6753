"""No calibration, for comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64
from calibrant.calibration.calibrator import LogitCalibrator
from calibrant.predictions import Predictions


class Uncalibrated(LogitCalibrator):
    """The softmax of the logits as they are; there is nothing to fit.

    Example:
        >>> Uncalibrated().predict_proba([[0.0, 0.0]])
        array([[0.5, 0.5]])
    """

    name: ClassVar[str] = "none"
    source: ClassVar[str] = ""
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    transfers: ClassVar[bool] = True

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        """Learn nothing."""

    def _logits(self, predictions: Predictions) -> Float64:
        return predictions.logits.astype(np.float64)

    def check_fitted(self) -> None:
        """It can be used right away."""
