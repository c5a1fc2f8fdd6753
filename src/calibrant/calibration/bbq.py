"""Bayesian binning into quantiles: histograms of many numbers of bins, weighted by how well they explain the labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64, Int64
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
        last, starts = _layout(len(labels))
        self.maps_ = [
            _mean_histogram(of_class, labels == index, last, starts) for index, of_class in enumerate(probabilities.T)
        ]

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


def _layout(samples: int) -> tuple[Int64, Int64]:
    """Lay all histograms behind one another: the rank of the last sample of each bin, and where each one starts."""
    root = np.cbrt(samples)
    numbers = np.arange(max(1, int(root / RANGE)), min(samples, int(np.ceil(RANGE * root))) + 1)
    last = [(samples * np.arange(1, bins + 1) + bins - 1) // bins - 1 for bins in numbers]
    return np.concatenate(last), np.cumsum(numbers) - numbers


def _mean_histogram(probability: Float64, right: Array, last: Int64, starts: Int64) -> Float64:
    """Average the histograms of one class: upper edges and values, float64 [2, K]."""
    order = np.argsort(probability)
    edges, shares, scores = _histograms(probability[order], right[order], last, starts)
    weights = np.exp(scores - scores.max())
    used = np.flatnonzero(weights > NEGLIGIBLE)
    parts = [slice(starts[i], starts[i + 1] if i + 1 < len(starts) else None) for i in used]
    pieces = np.unique(np.concatenate([edges[part] for part in parts]))
    mean = np.zeros(len(pieces))
    for part, weight in zip(parts, weights[used] / weights[used].sum(), strict=True):
        # of several bins with one edge only the first has samples
        mean += weight * shares[part][np.searchsorted(edges[part], pieces)]
    return np.stack([pieces, mean])


def _histograms(ascending: Float64, right: Array, last: Int64, starts: Int64) -> tuple[Float64, Float64, Float64]:
    """Give upper edges and shares of all bins, and the log of the marginal likelihood of each histogram."""
    from scipy.special import gammaln

    # a bin ends behind all samples that are equal to its last; bins that this leaves empty count for nothing
    ends = np.searchsorted(ascending, ascending, side="right")[last]
    edges = np.where(ends == len(ascending), 1.0, ascending[last])
    right_below = np.concatenate([[0.0], np.cumsum(right)])
    begins, lows = np.roll(ends, 1), np.roll(edges, 1)
    begins[starts], lows[starts] = 0, 0.0
    n, m = ends - begins, right_below[ends] - right_below[begins]
    # far from 0 and 1 by enough that the Gamma function is finite
    a = STRENGTH * np.clip((lows + edges) / 2, 1e-300, 1 - 1e-16)
    b = STRENGTH - a
    of_bins = gammaln(STRENGTH) - gammaln(n + STRENGTH) + gammaln(m + a) - gammaln(a) + gammaln(n - m + b) - gammaln(b)
    return edges, (m + a) / (n + STRENGTH), np.add.reduceat(of_bins, starts)
