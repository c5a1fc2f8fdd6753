"""Histogram binning: the probability of a class becomes how often it was right in its bin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.calibration.calibrator import ProbabilityCalibrator, given_labels
from calibrant.calibration.one_versus_rest import normalised
from calibrant.errors import InputError
from calibrant.metrics.binning import assign, bin_edges
from calibrant.predictions import Predictions


class HistogramBinning(ProbabilityCalibrator):
    """Every class by itself: its probability becomes the share of the samples in its bin that belong to the class.

    The estimates of a sample are divided by their sum. A bin without a sample says nothing and gives its middle; a
    sample whose estimates are all 0 keeps its probabilities. Samples of one bin become equal, so answers can change and
    ties appear; bins belong to classes, so there is nothing to give to new ones.

    Args:
        bins: how many per class.
        binning: ``"width"`` for bins of equal width, ``"mass"`` for bins of equally many samples of the fit, where
            equal probabilities stay together.

    Attributes:
        edges_: of the bins of each class, right-closed, float64 [C, bins + 1].
        shares_: what a probability in each bin becomes before the division, float64 [C, bins].

    Source: Zadrozny and Elkan, Obtaining Calibrated Probability Estimates from Decision Trees and Naive Bayesian
    Classifiers, 2001; for several classes one-versus-rest as in Guo et al., 2017, section 4.2.

    Example:
        >>> p = [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8]]
        >>> fitted = HistogramBinning(bins=2).fit(np.log(p), [0, 0, 1, 1])
        >>> fitted.shares_.round(2), fitted.predict_proba(np.log([[0.6, 0.4]])).round(2)
        (array([[0.  , 0.67], [0.33, 1.  ]]), array([[0.67, 0.33]]))
    """

    name: ClassVar[str] = "histogram"
    source: ClassVar[str] = "Zadrozny and Elkan, Obtaining Calibrated Probability Estimates, 2001"
    keeps_argmax: ClassVar[bool] = False
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("edges_", "shares_")

    edges_: Float64
    shares_: Float64

    def __init__(self, bins: int = 10, binning: Literal["width", "mass"] = "width") -> None:
        self.bins = bins
        self.binning = binning

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        labels, probabilities = given_labels(predictions, self.name), predictions.probabilities()
        self.edges_ = np.stack([bin_edges(of_class, self.bins, self.binning) for of_class in probabilities.T])
        self.shares_ = np.stack(
            [
                _shares(of_class, labels == index, edges)
                for index, (of_class, edges) in enumerate(zip(probabilities.T, self.edges_, strict=True))
            ]
        )

    def _probabilities(self, predictions: Predictions) -> Float64:
        before = predictions.probabilities()
        classes = zip(before.T, self.edges_, self.shares_, strict=True)
        estimates = [shares[assign(of_class, edges)] for of_class, edges, shares in classes]
        return normalised(np.stack(estimates, axis=1), before)

    def _check_restored(self) -> None:
        classes, bins = self.shares_.shape if self.shares_.ndim == 2 else (0, 0)
        if not classes or self.edges_.shape != (classes, bins + 1) or (np.diff(self.edges_, axis=1) < 0).any():
            raise InputError("edges_ must rise, and be one more per class than shares_")
        if not ((self.shares_ >= 0) & (self.shares_ <= 1)).all():
            raise InputError("shares_ must lie between 0 and 1")


def _shares(probability: Float64, right: np.ndarray[tuple[int], np.dtype[np.bool_]], edges: Float64) -> Float64:
    bins = len(edges) - 1
    index: Int64 = assign(probability, edges)
    count = np.bincount(index, minlength=bins)
    middle = (edges[:-1] + edges[1:]) / 2
    return np.where(count > 0, np.bincount(index, right, bins) / np.maximum(count, 1), middle)
