"""Spline calibration of the top label: the slope of the cumulative gap says how far confidence is off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64
from calibrant.calibration.calibrator import ProbabilityCalibrator
from calibrant.calibration.one_versus_rest import check_map
from calibrant.calibration.top_label import answers_of, confidence_and_correctness, with_confidence
from calibrant.errors import InputError
from calibrant.predictions import Predictions


class SplineCalibration(ProbabilityCalibrator):
    """The confidence c of the answer becomes c + h'(t), for the share t of samples that were less confident.

    Sorted by confidence, the sum over the first i of N samples of (right - c) / N is a curve over t = i / N from
    (0, 0): it stays at 0 if confidence is right. h is the natural cubic spline with evenly spaced knots that is nearest
    to it in least squares. Its slope at the middle of each sample is what confidence is off by; in between it is linear
    in c, and outside the confidences of the fit it is constant. Equally confident samples count with their mean, so
    their order does not matter. With fewer than `knots` - 1 samples there is one knot more than samples.

    The other classes share the rest in their old proportions and none gets more than the answer, so answers stay. The
    function need not rise, so the order of samples can change. It knows no classes and can be used on new ones; that it
    fits them is an assumption.

    Args:
        knots: of the spline, at least 2.

    Attributes:
        map_: confidences of the fit and what they become, float64 [2, K].

    Source: Gupta et al., Calibration of Neural Networks using Splines, ICLR 2021, section 4 (knots as in the released
    code, which clips values to 0 and 1 alike but parts equal confidences by their order).

    Example:
        >>> sure = [[4.0, 0.0]] * 4 + [[1.0, 0.0]] * 4
        >>> fitted = SplineCalibration(knots=2).fit(sure, [0, 0, 1, 1, 0, 1, 1, 1])
        >>> fitted.map_.round(3)
        array([[0.731, 0.982],
               [0.25 , 0.5  ]])
        >>> fitted.predict_proba([[4.0, 0.0, 0.0]]).round(3)
        array([[0.483, 0.258, 0.258]])
    """

    name: ClassVar[str] = "spline"
    source: ClassVar[str] = "Gupta et al., Calibration of Neural Networks using Splines, 2021"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("map_",)

    map_: Float64

    def __init__(self, knots: int = 6) -> None:
        self.knots = knots

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        if not isinstance(self.knots, int) or isinstance(self.knots, bool) or self.knots < 2:
            raise InputError(f"knots of calibrator 'spline' must be an integer of at least 2, not {self.knots!r}")
        confidence, right = confidence_and_correctness(predictions, self.name)
        sure, same, count = np.unique(confidence, return_inverse=True, return_counts=True)
        gap, order = np.bincount(same, right - confidence) / count, np.sort(same)
        slope = np.bincount(order, _slope(gap[order], self.knots)) / count
        self.map_ = np.stack([sure, np.clip(sure + slope, 0.0, 1.0)])

    def _probabilities(self, predictions: Predictions) -> Float64:
        before, answers = predictions.probabilities(), answers_of(predictions)
        confidence = before[np.arange(len(before)), answers]
        return with_confidence(before, answers, np.interp(confidence, *self.map_))

    def _check_restored(self) -> None:
        check_map("map_", self.map_)


def _slope(gap: Float64, knots: int) -> Float64:
    """Fit the spline to the running mean of the gap and take its slope at the middle of each sample."""
    from scipy.interpolate import CubicSpline

    samples = len(gap)
    places = np.linspace(0, 1, min(knots, samples + 1))
    # a natural spline is linear in its values at the knots: these are the splines through 1 at one knot and 0 elsewhere
    basis = CubicSpline(places, np.eye(len(places)), bc_type="natural")
    ends = np.arange(samples + 1) / samples
    curve = np.concatenate([[0.0], np.cumsum(gap)]) / samples
    heights, *_ = np.linalg.lstsq(basis(ends), curve, rcond=None)
    slope: Float64 = basis((ends[:-1] + ends[1:]) / 2, 1) @ heights
    return slope
