"""Matrix scaling: a linear map of the logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import numpy as np

from calibrant.arrays import Float64, Int64, as_floats
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.penalised_regression import likelihood, minimise, penalty
from calibrant.calibration.temperature import inverse_temperature
from calibrant.predictions import Predictions


class MatrixScaling(LogitCalibrator):
    """Logits W (z - m) / T + m / T + b with a C x C matrix W and an intercept for every class.

    T is the temperature of temperature scaling, from where the fit starts: W is the identity and b = 0. m are the mean
    logits of the classes, so that weights and intercepts do not depend on each other. It minimises

        mean negative log-likelihood + off_diagonal * mean_{i != j} W_ij^2 + intercept * mean_j b_j^2,

    off-diagonal and intercept regularisation (ODIR). The published matrix scaling had neither, and over-fits with more
    than a few classes: there are C^2 parameters. By default the penalties are those of a normal prior with variance 1
    for b_j and 1 / C^2 for W_ij, so that few samples move them little and with many the prior does not matter.

    Args:
        off_diagonal: penalty of the matrix beside its diagonal, at least 0; None for C^3 (C - 1) / 2N.
        intercept: penalty of the intercepts, at least 0; None for C / 2N.

    Attributes:
        weights_: W / T, float64 [C, C].
        intercepts_: what is added to them, float64 [C].

    Source: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2; penalties: Kull et al., Beyond
    temperature scaling, 2019.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> labels = draw.integers(3, size=2000)
        >>> logits = draw.normal(size=(2000, 3)) + 3 * np.eye(3)[labels]
        >>> logits[:, 0] += logits[:, 1]  # class 0 gets the points of class 1 as well
        >>> int(MatrixScaling().fit(logits, labels).predict_proba([[3.0, 3.0, 0.0]]).argmax())
        1
    """

    name: ClassVar[str] = "matrix"
    source: ClassVar[str] = "Guo et al., On Calibration of Modern Neural Networks, 2017; penalties: Kull et al., 2019"
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
        scaled = predictions.logits.astype(np.float64) * inverse
        middle, start = scaled.mean(axis=0), np.eye(len(predictions.classes))
        w, b = affine_fit(scaled - middle, labels, start, middle, penalties, self.name)
        self.weights_, self.intercepts_ = w * inverse, b + middle - w @ middle

    def _logits(self, predictions: Predictions) -> Float64:
        return predictions.logits.astype(np.float64) @ self.weights_.T + self.intercepts_

    def _check_restored(self) -> None:
        check_affine(self)


class Odir(NamedTuple):
    """Off-diagonal and intercept regularisation: lambda and mu of Kull et al."""

    off_diagonal: float
    intercept: float


def odir(off_diagonal: float | None, intercept: float | None, shape: tuple[int, ...], name: str) -> Odir:
    """Check the penalties, or take those of a normal prior with variance 1 / C^2 for W_ij and 1 for b_j.

    Args:
        off_diagonal: what the user chose, or None.
        intercept: what the user chose, or None.
        shape: N samples, C classes.
        name: the calibrator, for the error.

    Returns:
        Both.

    Raises:
        InputError: if one is negative or not finite.

    Example:
        >>> odir(None, None, (100, 10), "matrix")
        Odir(off_diagonal=45.0, intercept=0.05)
    """
    samples, classes = shape
    usual = classes / (2 * samples)
    return Odir(
        penalty(off_diagonal, usual * classes**2 * (classes - 1), "off_diagonal", name),
        penalty(intercept, usual, "intercept", name),
    )


def affine_fit(
    inputs: Float64, labels: Int64, start: Float64, offset: Float64, penalties: Odir, name: str
) -> tuple[Float64, Float64]:
    """Fit softmax(W x + b + offset) with off-diagonal and intercept regularisation (ODIR).

    Args:
        inputs: x, float64 [N, C].
        labels: int64 [N].
        start: the first W, float64 [C, C]; b starts at 0.
        offset: added to the scores, float64 [C].
        penalties: of mean_{i != j} W_ij^2 and mean_j b_j^2.
        name: the calibrator, for warnings.

    Returns:
        W, float64 [C, C], and b, float64 [C].
    """
    classes = len(start)
    pairs = classes * (classes - 1)
    beside = 1 - np.eye(classes)

    def objective(parameters: Float64) -> tuple[float, Float64]:
        w, b = parameters[:-classes].reshape(classes, classes), parameters[-classes:]
        value, slope = likelihood(
            inputs,
            labels,
            scores=lambda x: x @ w.T + (b + offset),
            gradient=lambda x, by_score: np.concatenate([(by_score.T @ x).ravel(), by_score.sum(axis=0)]),
        )
        outside = w * beside
        value += penalties.off_diagonal * float((outside**2).sum()) / pairs + penalties.intercept * float((b**2).mean())
        slope[:-classes] += 2 * penalties.off_diagonal * outside.ravel() / pairs
        slope[-classes:] += 2 * penalties.intercept * b / classes
        return value, slope

    found = minimise(objective, np.concatenate([start.ravel(), np.zeros(classes)]), name)
    return found[:-classes].reshape(classes, classes), found[-classes:]


def check_affine(calibrator: LogitCalibrator) -> None:
    """Refuse stored weights and intercepts that are not finite or do not fit the classes.

    Raises:
        InputError: if they are not [C, C] and [C].
    """
    classes = len(calibrator.classes_)
    for name, shape in (("weights_", (classes, classes)), ("intercepts_", (classes,))):
        setattr(calibrator, name, as_floats(getattr(calibrator, name), name, shape))
