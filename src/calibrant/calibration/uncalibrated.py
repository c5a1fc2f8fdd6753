"""No calibration, so that every table can have a row to compare with."""

from __future__ import annotations

from typing import ClassVar

from calibrant.arrays import Array, Float64, softmax
from calibrant.calibration.calibrator import Calibrator
from calibrant.predictions import Predictions


class Uncalibrated(Calibrator):
    """The softmax of the logits as they are.

    Example:
        >>> Uncalibrated().predict_proba([[0.0, 0.0]])
        array([[0.5, 0.5]])
    """

    name: ClassVar[str] = "none"
    source: ClassVar[str] = ""
    keeps_argmax: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False

    def _fit(self, predictions: Predictions) -> None:
        """Learn nothing."""

    def _probabilities(self, logits: Array) -> Float64:
        return softmax(logits)
