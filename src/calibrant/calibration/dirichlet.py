"""Dirichlet calibration: a linear map of the log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64, log_softmax
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.matrix import affine_fit, check_affine, odir
from calibrant.calibration.temperature import inverse_temperature
from calibrant.predictions import Predictions


class Dirichlet(LogitCalibrator):
    """Probabilities softmax(W ln p + b), where p are the probabilities before calibration.

    This is the calibration map of classes whose probability vectors are Dirichlet distributed. It minimises

        mean negative log-likelihood + off_diagonal * mean_{i != j} W_ij^2 + intercept * mean_j b_j^2,

    off-diagonal and intercept regularisation (ODIR), from the solution of temperature scaling (W = 1 / T on the
    diagonal). The paper chooses both penalties by cross-validation, which `BestOf` can do; here they are by default
    those of a normal prior with variance 1 for b_j and 1 / C^2 for W_ij. There are C^2 parameters.

    Args:
        off_diagonal: penalty of the matrix beside its diagonal (lambda of the paper), at least 0; None for
            C^3 (C - 1) / 2N.
        intercept: penalty of the intercepts (mu of the paper), at least 0; None for C / 2N.

    Attributes:
        weights_: W, float64 [C, C].
        intercepts_: b, float64 [C].

    Source: Kull et al., Beyond temperature scaling: Obtaining well-calibrated multi-class probabilities with Dirichlet
    calibration, 2019.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> probs = draw.dirichlet([1, 1, 1], size=4000)
        >>> labels = (draw.random((4000, 1)) > probs.cumsum(axis=1)).sum(axis=1).clip(max=2)
        >>> overconfident = 2 * np.log(probs)
        >>> Dirichlet().fit(overconfident, labels).weights_.diagonal().round(1)
        array([0.5, 0.5, 0.5])
    """

    name: ClassVar[str] = "dirichlet"
    source: ClassVar[str] = "Kull et al., Beyond temperature scaling: Dirichlet calibration, 2019"
    keeps_argmax: ClassVar[bool] = False
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = False
    fitted: ClassVar[tuple[str, ...]] = ("weights_", "intercepts_")

    weights_: Float64
    intercepts_: Float64

    def __init__(self, off_diagonal: float | None = None, intercept: float | None = None) -> None:
        self.off_diagonal = off_diagonal
        self.intercept = intercept

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        labels = given_labels(predictions, self.name)
        penalties = odir(self.off_diagonal, self.intercept, predictions.logits.shape, self.name)
        inverse, _ = inverse_temperature(predictions.logits, labels)
        inputs, start = log_softmax(predictions.logits), inverse * np.eye(len(predictions.classes))
        self.weights_, self.intercepts_ = affine_fit(inputs, labels, start, np.zeros(len(start)), penalties, self.name)

    def _logits(self, predictions: Predictions) -> Float64:
        return log_softmax(predictions.logits) @ self.weights_.T + self.intercepts_

    def _check_restored(self) -> None:
        check_affine(self)
