"""ProCal for continuous confidence: how densely right and wrong answers lie around a confidence and a proximity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.calibration.calibrator import ProbabilityCalibrator
from calibrant.calibration.nearness import features_to_keep, nearness, nearness_of
from calibrant.calibration.top_label import answers_of, confidence_and_correctness, with_confidence
from calibrant.errors import InputError
from calibrant.predictions import Predictions

ENTRIES = 2**21  # of the table of samples by points at a time: 16 MB


class DensityRatio(ProbabilityCalibrator):
    """The confidence of the answer becomes R r / (R r + W w), from the densities of right and wrong answers around it.

    Each of the R right and W wrong answers of the fit is a point (confidence, proximity); r and w are the densities
    there, by a Gaussian kernel in each direction of width 1.06 s n^(-1/6) for n points with standard deviation s.
    The proximity of an image is exp of minus the mean Euclidean distance of its features to those of the k nearest
    images of the fit, itself left out if it is one of them. Where the points of one kind do not differ in a direction,
    the s of all points stands in; where none differ, the direction says nothing. Densities are compared by their
    logarithms, so that far from all points the ratio is still one.

    The other classes share the rest in their old proportions and none gets more than the answer, so answers stay, while
    the order of samples changes. Confidence and proximity know no classes, so new ones can be calibrated; that they are
    alike is an assumption. The image features of the fit are kept, also in the file. Other calibrators of logits can
    stand before it in a chain.

    Args:
        k: neighbours, at least 1; with fewer images all of them.

    Attributes:
        right_: points of right answers, float64 [R, 2].
        wrong_: points of wrong answers, float64 [W, 2].
        widths_: of the kernel around right and around wrong points, float64 [2, 2].
        reference_: image features of the fit, [N, D].

    Source: Xiong et al., Proximity-Informed Calibration for Deep Neural Networks, NeurIPS 2023 (width of the kernel as
    in the released code).

    Example:
        >>> features, labels = [[0.0], [0.1], [0.2], [4.0], [6.0], [9.0]], [0, 0, 1, 1, 1, 0]
        >>> fit = Predictions(logits=[[4.0, 0.0, 0.0]] * 6, labels=labels, image_features=features)
        >>> near_and_far = Predictions(logits=[[4.0, 0.0, 0.0]] * 2, image_features=[[0.05], [7.5]])
        >>> DensityRatio(k=1).fit(fit)(near_and_far).round(2)
        array([[0.63, 0.18, 0.18],
               [0.35, 0.33, 0.33]])
    """

    name: ClassVar[str] = "density-ratio"
    source: ClassVar[str] = "Xiong et al., Proximity-Informed Calibration for Deep Neural Networks, 2023"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("image_features",)
    fitted: ClassVar[tuple[str, ...]] = ("right_", "wrong_", "widths_", "reference_")

    right_: Float64
    wrong_: Float64
    widths_: Float64
    reference_: Array

    def __init__(self, k: int = 10) -> None:
        self.k = k

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        confidence, right = confidence_and_correctness(predictions, self.name)
        if right.all() or not right.any():
            raise InputError(
                f"calibrator 'density-ratio' compares right with wrong answers, and all {len(right)} are "
                f"{'right' if right.all() else 'wrong'}; fit on more held-out samples"
            )
        self.reference_ = features_to_keep(predictions, self.k, self.name)
        points = np.stack([confidence, nearness(self.reference_, self.reference_, self.k)], axis=1)
        self.right_, self.wrong_ = points[right == 1], points[right == 0]
        self.widths_ = np.stack([_widths(self.right_, points), _widths(self.wrong_, points)])

    def _probabilities(self, predictions: Predictions) -> Float64:
        before, answers = predictions.probabilities(), answers_of(predictions)
        closeness = nearness_of(predictions, self.reference_, self.k, self.name)
        points = np.stack([before[np.arange(len(before)), answers], closeness], axis=1)
        log_right = np.log(len(self.right_)) + log_density(points, self.right_, self.widths_[0])
        log_wrong = np.log(len(self.wrong_)) + log_density(points, self.wrong_, self.widths_[1])
        return with_confidence(before, answers, np.exp(-np.logaddexp(0.0, log_wrong - log_right)))

    def _check_restored(self) -> None:
        if self.widths_.shape != (2, 2) or not (self.widths_ > 0).all():
            raise InputError("widths_ must be four positive numbers")
        for points in (self.right_, self.wrong_):
            if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
                raise InputError("right_ and wrong_ must hold finite pairs of confidence and proximity")
        if self.reference_.ndim != 2 or not np.isfinite(self.reference_).all():
            raise InputError("reference_ must be finite image features, one row per image")


def log_density(at: Float64, points: Float64, widths: Float64) -> Float64:
    """Estimate a density by a Gaussian kernel with a width in each direction.

    Args:
        at: where, float64 [M, 2].
        points: a sample of the density, float64 [N, 2].
        widths: standard deviations of the kernel, float64 [2].

    Returns:
        The logarithm of the density, float64 [M].

    Example:
        >>> log_density(np.zeros((1, 2)), np.zeros((3, 2)), np.ones(2)).round(4)
        array([-1.8379])
    """
    at, points = at / widths, points / widths
    logs: Float64 = np.empty(len(at))
    at_once = max(1, ENTRIES // len(points))
    for start in range(0, len(at), at_once):
        part = at[start : start + at_once, None]
        exponents = -((part[..., 0] - points[:, 0]) ** 2 + (part[..., 1] - points[:, 1]) ** 2) / 2
        highest = exponents.max(axis=1, keepdims=True)
        logs[start : start + at_once] = highest[:, 0] + np.log(np.exp(exponents - highest).sum(axis=1))
    logs -= np.log(len(points) * 2 * np.pi * widths.prod())
    return logs


def _widths(points: Float64, everything: Float64) -> Float64:
    # the standard deviation of equal numbers can be a rounding error instead of 0
    differ = np.ptp(points, axis=0) > 0
    spread = np.where(differ, points.std(axis=0), everything.std(axis=0))
    return np.where(np.ptp(everything, axis=0) > 0, 1.06 * spread * len(points) ** (-1 / 6), 1.0)
