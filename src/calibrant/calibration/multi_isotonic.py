"""Multi-isotonic regression: one rising function for the probabilities of all classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64
from calibrant.calibration.calibrator import ProbabilityCalibrator, given_labels
from calibrant.calibration.isotonic import rising_map
from calibrant.calibration.one_versus_rest import check_map
from calibrant.calibration.top_label import answers_of, keep_answers
from calibrant.predictions import Predictions

TIE_BREAK = 1e-9


class MultiIsotonic(ProbabilityCalibrator):
    """All N x C probabilities go through one rising function f, the nearest to "the sample belongs to this class".

    The estimates f(p) + 1e-9 p of a sample are divided by their sum. The small term tells classes apart that f makes
    equal; with it the order of the classes within a sample stays, and a sample whose f are all 0 keeps its
    probabilities. The order between samples can change, since each has a sum of its own.

    The function knows no classes, so it can be used on new ones; that it fits them is an assumption. The paper and the
    code that was released for CLIP leave out the division, so that rows do not sum to 1, and the latter fits the
    softmax of what can already be probabilities; here logits and probabilities are told apart by type.

    Attributes:
        map_: where f bends and what it is there, float64 [2, K].

    Source: Zhang, Kailkhura and Han, Mix-n-Match: Ensemble and Compositional Methods for Uncertainty Calibration in
    Deep Learning, ICML 2020 (there IRM).

    Example:
        >>> p = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
        >>> fitted = MultiIsotonic().fit(np.log(p), [0, 0, 1])
        >>> fitted.predict_proba(np.log([[0.7, 0.2, 0.1]])).round(3)
        array([[1., 0., 0.]])
        >>> fitted.predict_proba(np.log([[0.5, 0.5]]))
        array([[0.5, 0.5]])
    """

    name: ClassVar[str] = "multi-isotonic"
    source: ClassVar[str] = "Zhang et al., Mix-n-Match, 2020"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("map_",)

    map_: Float64

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        labels = given_labels(predictions, self.name)
        right = np.arange(len(predictions.classes)) == labels[:, None]
        self.map_ = rising_map(predictions.probabilities().ravel(), right.ravel())

    def _probabilities(self, predictions: Predictions) -> Float64:
        before = predictions.probabilities()
        estimates = np.interp(before, *self.map_) + TIE_BREAK * before
        estimates /= estimates.sum(axis=1, keepdims=True)
        return keep_answers(estimates, answers_of(predictions))

    def _check_restored(self) -> None:
        check_map("map_", self.map_)
