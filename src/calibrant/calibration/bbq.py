"""Bayesian binning into quantiles: histograms of many numbers of bins, weighted by how well they explain the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.calibration.calibrator import ProbabilityCalibrator, given_labels
from calibrant.calibration.one_versus_rest import check_map, normalised
from calibrant.errors import InputError
from calibrant.predictions import Predictions

RANGE = 10
"""Numbers of bins go from the cube root of N divided by this to the cube root times this."""
STRENGTH = 2.0
"""How many samples the prior of each bin is worth."""
NEGLIGIBLE = 1e-12


class BBQ(ProbabilityCalibrator):
    """Every class by itself: the mean of many equal-mass histograms, weighted by their marginal likelihood.

    A histogram with B bins has in bin b, with n samples of which m belong to the class and with middle q, the share
    (m + 2 q) / (n + 2), the posterior mean under the prior Beta(2 q, 2 (1 - q)). Its weight is proportional to

        prod over b of  G(2) / G(n + 2)  *  G(m + 2 q) / G(2 q)  *  G(n - m + 2 (1 - q)) / G(2 (1 - q))

    with the Gamma function G, which is the probability of the labels when the shares are drawn from that prior.

    B runs from N^(1/3) / 10 to 10 N^(1/3), at least 1 and at most N. Equal probabilities stay in one bin. Histograms
    whose weight is below 1e-12 of the largest are left out. The estimates of a sample are divided by their sum. Answers
    can change, and there are no bins for new classes.

    Attributes:
        maps_: for each class the upper edges of the pieces of the mean, the last 1, and its values, C times float64
            [2, K].

    Source: Naeini, Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015,
    which has two classes; one-versus-rest is ours, and so is the posterior mean, which goes with the weight. That the
    prior is worth two samples in each bin follows code after theirs.

    Example:
        >>> sure = [[2.0, 0.0]] * 6 + [[0.0, 2.0]] * 6
        >>> fitted = BBQ().fit(sure, [0, 0, 0, 0, 1, 1] + [1, 1, 1, 1, 0, 0])
        >>> fitted.predict_proba([[2.0, 0.0]]).round(2)
        array([[0.66, 0.34]])
    """

    name: ClassVar[str] = "bbq"
    source: ClassVar[str] = "Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015"
    keeps_argmax: ClassVar[bool] = False
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("maps_",)

    maps_: list[Float64]

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        labels, probabilities = given_labels(predictions, self.name), predictions.probabilities()
        self.maps_ = [_mean_histogram(of_class, labels == index) for index, of_class in enumerate(probabilities.T)]

    def _probabilities(self, predictions: Predictions) -> Float64:
        before = predictions.probabilities()
        estimates = [
            values[np.searchsorted(edges[:-1], of_class)]
            for of_class, (edges, values) in zip(before.T, self.maps_, strict=True)
        ]
        return normalised(np.stack(estimates, axis=1), before)

    def _check_restored(self) -> None:
        if len(self.maps_) != len(self.classes_):
            raise InputError("maps_ must hold one map per class")
        for points in self.maps_:
            check_map("maps_", points)


def _mean_histogram(probability: Float64, right: Array) -> Float64:
    """Average the histograms of one class: upper edges and values, float64 [2, K]."""
    order = np.argsort(probability)
    ascending = probability[order]
    right_below = np.concatenate([[0.0], np.cumsum(right[order])])
    root = np.cbrt(len(probability))
    numbers = range(max(1, int(root / RANGE)), min(len(probability), int(np.ceil(RANGE * root))) + 1)
    histograms = [_histogram(ascending, right_below, bins) for bins in numbers]
    scores = np.array([score for *_, score in histograms])
    weights = np.exp(scores - scores.max())
    used = np.flatnonzero(weights > NEGLIGIBLE)
    edges = np.unique(np.concatenate([histograms[i][0] for i in used]))
    mean = np.zeros(len(edges))
    for i in used:
        own_edges, shares, _ = histograms[i]
        mean += weights[i] / weights[used].sum() * shares[np.searchsorted(own_edges, edges)]
    return np.stack([edges, mean])


def _histogram(ascending: Float64, right_below: Float64, bins: int) -> tuple[Float64, Float64, float]:
    """Give upper edges and shares of the bins, float64 [B], and the log of the marginal likelihood."""
    from scipy.special import gammaln

    samples = len(ascending)
    last = (samples * np.arange(1, bins) + bins - 1) // bins - 1
    edges = np.append(np.unique(ascending[last][ascending[last] < ascending[-1]]), 1.0)
    ends = np.searchsorted(ascending, edges, side="right")
    n = np.diff(ends, prepend=0)
    m = np.diff(right_below[ends], prepend=0.0)
    middle = (np.append(0.0, edges[:-1]) + edges) / 2
    # far from 0 and 1 by enough that the Gamma function is finite
    a = STRENGTH * np.clip(middle, 1e-300, 1 - 1e-16)
    b = STRENGTH - a
    of_bins = gammaln(STRENGTH) - gammaln(n + STRENGTH) + gammaln(m + a) - gammaln(a) + gammaln(n - m + b) - gammaln(b)
    return edges, (m + a) / (n + STRENGTH), float(of_bins.sum())
