"""Isotonic regression, one-versus-rest: each class gets the rising step function that fits it best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.calibration.calibrator import ProbabilityCalibrator, given_labels
from calibrant.calibration.one_versus_rest import check_map, normalised
from calibrant.errors import InputError
from calibrant.predictions import Predictions


class IsotonicRegression(ProbabilityCalibrator):
    """Every class by itself: its probability goes through the rising function that is nearest to the labels.

    The function minimises the squared error against "belongs to the class". It is given at the probabilities of the
    fit, linear between them and constant beyond, as scikit-learn has it. The estimates of a sample are divided by their
    sum; a sample whose estimates are all 0 keeps its probabilities. Where every sample of the fit belonged to a class,
    or none did, the estimate is exactly 1 or 0. Each function rises, but answers can change since classes have
    functions of their own, and for the same reason there is none for new classes.

    Attributes:
        maps_: for each class where its function bends and what it is there, C times float64 [2, K].

    Source: Zadrozny and Elkan, Transforming Classifier Scores into Accurate Multiclass Probability Estimates, KDD 2002.

    Example:
        >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8]]
        >>> fitted = IsotonicRegression().fit(np.log(p), [0, 1, 0, 1])
        >>> fitted.maps_[0].round(1), fitted.predict_proba(np.log([[0.75, 0.25]])).round(2)
        (array([[0.2, 0.7, 0.8, 0.9],
               [0. , 0.5, 0.5, 1. ]]), array([[0.5, 0.5]]))
    """

    name: ClassVar[str] = "isotonic"
    source: ClassVar[str] = "Zadrozny and Elkan, Transforming Classifier Scores, 2002"
    keeps_argmax: ClassVar[bool] = False
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("maps_",)

    maps_: list[Float64]

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        labels, probabilities = given_labels(predictions, self.name), predictions.probabilities()
        self.maps_ = [rising_map(of_class, labels == index) for index, of_class in enumerate(probabilities.T)]

    def _probabilities(self, predictions: Predictions) -> Float64:
        before = predictions.probabilities()
        estimates = [np.interp(of_class, *points) for of_class, points in zip(before.T, self.maps_, strict=True)]
        return normalised(np.stack(estimates, axis=1), before)

    def _check_restored(self) -> None:
        if len(self.maps_) != len(self.classes_):
            raise InputError("maps_ must hold one map per class")
        for points in self.maps_:
            check_map("maps_", points)


def rising_map(probabilities: Float64, right: Array) -> Float64:
    """Fit the rising function from probabilities to 0 and 1 with the least squared error.

    Args:
        probabilities: float64 [N].
        right: bool [N].

    Returns:
        Where the function bends and what it is there, float64 [2, K]; it is linear in between.

    Example:
        >>> rising_map(np.array([0.1, 0.4, 0.6, 0.9]), np.array([False, True, False, True]))
        array([[0.1, 0.4, 0.6, 0.9],
               [0. , 0.5, 0.5, 1. ]])
    """
    from sklearn.isotonic import IsotonicRegression as Regression

    regression = Regression(y_min=0, y_max=1, out_of_bounds="clip").fit(probabilities, right)
    return np.stack([regression.X_thresholds_, regression.y_thresholds_]).astype(np.float64)
