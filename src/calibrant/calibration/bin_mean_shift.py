"""ProCal for binning calibrators: one for each level of proximity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.calibration.calibrator import Calibrator, ProbabilityCalibrator
from calibrant.calibration.chain import unfitted_copy
from calibrant.calibration.histogram import HistogramBinning
from calibrant.calibration.nearness import features_to_keep, nearness, nearness_of
from calibrant.errors import InputError
from calibrant.metrics.binning import assign, bin_edges
from calibrant.predictions import Predictions


class BinMeanShift(ProbabilityCalibrator):
    """A binning calibrator for each of several bins of proximity, so that unusual images get a map of their own.

    The proximity of an image is exp of minus the mean Euclidean distance of its features to those of the k nearest
    images of the fit, itself left out if it is one of them. Bins hold equally many samples of the fit, images of equal
    proximity together, and each has a copy of `base`, fitted on its samples alone, as in the released code. With
    histogram binning as base the mean of each cell of proximity and probability moves to the share of its samples that
    belong to the class.

    The image features of the fit are kept, also in the file. Promises are those of `base`; whether image features mean
    the same for new classes is an assumption.

    Args:
        base: a calibrator; `HistogramBinning` by default.
        bins: of proximity, at least 1.
        k: neighbours, at least 1; with fewer images all of them.

    Attributes:
        edges_: of the bins of proximity, right-closed, float64 [bins + 1]; fewer where proximities are equal.
        parts_: the fitted calibrator of each bin.
        reference_: image features of the fit, [N, D].

    Source: Xiong et al., Proximity-Informed Calibration for Deep Neural Networks, NeurIPS 2023 (bins, and k on
    ImageNet, as in the code that was released for CLIP, which fits the softmax of what are already probabilities).

    Example:
        >>> features, labels = [[0.0], [0.1], [0.2], [4.0], [6.0], [9.0]], [0, 0, 1, 1, 1, 0]
        >>> fit = Predictions(logits=[[4.0, 0.0]] * 6, labels=labels, image_features=features)
        >>> near_and_far = Predictions(logits=[[4.0, 0.0]] * 2, image_features=[[0.05], [12.0]])
        >>> BinMeanShift(bins=2, k=1).fit(fit)(near_and_far).round(2)
        array([[0.67, 0.33],
               [0.33, 0.67]])
    """

    name: ClassVar[str] = "bin-mean-shift"
    source: ClassVar[str] = "Xiong et al., Proximity-Informed Calibration for Deep Neural Networks, 2023"
    keeps_sample_order: ClassVar[bool] = False
    fitted: ClassVar[tuple[str, ...]] = ("edges_", "parts_", "reference_")

    edges_: Float64
    parts_: list[Calibrator]
    reference_: Array

    def __init__(self, base: Calibrator | None = None, bins: int = 5, k: int = 10) -> None:
        self.base = base
        self.bins = bins
        self.k = k

    @property
    def keeps_argmax(self) -> bool:  # type: ignore[override]  # the class attribute of others follows from the base
        """Whether the base leaves the answers alone."""
        return self._base.keeps_argmax

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]
        """Whether the base reads labels."""
        return self._base.needs_labels

    @property
    def transfers(self) -> bool:  # type: ignore[override]
        """Whether the base can be used on classes that it was not fitted on."""
        return self._base.transfers

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Image features, and what the base reads."""
        return tuple(dict.fromkeys(("image_features", *self._base.reads)))

    @property
    def _base(self) -> Calibrator:
        return HistogramBinning() if self.base is None else self.base

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        self.reference_ = features_to_keep(predictions, self.k, self.name)
        closeness = nearness(self.reference_, self.reference_, self.k)
        inner = np.unique(bin_edges(closeness, self.bins, "mass")[1:-1])
        # an edge at the largest proximity would leave nothing to the bin above
        self.edges_ = np.concatenate([[0.0], inner[inner < closeness.max()], [1.0]])
        self.parts_ = [
            unfitted_copy(self._base).fit(predictions.subset(rows)) for rows in self._rows_of_bins(closeness)
        ]

    def _probabilities(self, predictions: Predictions) -> Float64:
        calibrated = predictions.probabilities()
        closeness = nearness_of(predictions, self.reference_, self.k, self.name)
        for part, rows in zip(self.parts_, self._rows_of_bins(closeness), strict=True):
            if len(rows):
                calibrated[rows] = part(predictions.subset(rows))
        return calibrated

    def _rows_of_bins(self, closeness: Float64) -> list[Int64]:
        index = assign(closeness, self.edges_)
        return [np.flatnonzero(index == one) for one in range(len(self.edges_) - 1)]

    def _check_restored(self) -> None:
        if len(self.parts_) != len(self.edges_) - 1 or (np.diff(self.edges_) <= 0).any():
            raise InputError("edges_ must rise, and be one more than parts_")
        if self.reference_.ndim != 2 or not np.isfinite(self.reference_).all():
            raise InputError("reference_ must be finite image features, one row per image")
