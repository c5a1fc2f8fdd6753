"""The best of several calibrators by cross-validated likelihood."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.calibration.calibrator import Calibrator, given_labels
from calibrant.calibration.chain import unfitted_copy
from calibrant.calibration.registry import CALIBRATORS, calibrator
from calibrant.errors import CalibrantWarning, InputError
from calibrant.predictions import Predictions

CANDIDATES = ("none", "temperature", "ensemble-temperature", "vector", "dirichlet", "beta")


class BestOf(Calibrator):
    """The one of several calibrators that gives held-out samples the largest likelihood, fitted on all of them.

    The samples are divided into folds; every candidate is fitted on all folds but one and judged by its mean negative
    log-likelihood on that one. Where the predictions name the column of their unit of independence
    (``about["unit"]``), all samples of a unit are in one fold. Among equals the first candidate wins, so simple ones
    come first. The likelihood of the winner on the folds is a little too good, since it was chosen by it.

    Args:
        candidates: calibrators, or names as `calibrator` takes them, chains included.
        folds: how many, at least 2.
        seed: of the division into folds.

    Attributes:
        chosen_: the winner, fitted on all samples.
        scores_: candidate to cross-validated negative log-likelihood, in nats; None where it is infinite, since a
            label got a probability of 0.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> labels = draw.integers(3, size=600)
        >>> best = BestOf(["none", "temperature"]).fit(6 * draw.normal(size=(600, 3)) + 6 * np.eye(3)[labels], labels)
        >>> best.chosen_
        TemperatureScaling()
    """

    name: ClassVar[str] = "best-of"
    source: ClassVar[str] = ""
    # what holds whoever wins; the winner, `chosen_`, may promise more
    keeps_argmax: ClassVar[bool] = False
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = False
    fitted: ClassVar[tuple[str, ...]] = ("chosen_", "scores_")

    chosen_: Calibrator
    scores_: dict[str, float | None]

    def __init__(self, candidates: Sequence[str | Calibrator] = CANDIDATES, folds: int = 5, seed: int = 0) -> None:
        self.candidates = candidates
        self.folds = folds
        self.seed = seed

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]  # what the winner reads; nothing before there is one
        """What the winner cannot be used without besides logits."""
        return self.chosen_.reads if hasattr(self, "chosen_") else ()

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        candidates = self._candidates()
        fold = self._division(predictions)
        scores = {name: self._score(one, predictions, shifted, fold) for name, one in candidates.items()}
        best = min(scores, key=lambda name: scores[name])
        if not np.isfinite(scores[best]):
            raise InputError(f"calibrator '{self.name}': every candidate gives a held-out label a probability of 0")
        self.scores_ = {name: score if np.isfinite(score) else None for name, score in scores.items()}
        self.chosen_ = candidates[best].fit(predictions, shifted=shifted)

    def _candidates(self) -> dict[str, Calibrator]:
        if isinstance(self.candidates, str) or not self.candidates:
            raise InputError(f"candidates of calibrator '{self.name}' must be a list of names or calibrators")
        found: dict[str, Calibrator] = {}
        for one in self.candidates:
            if isinstance(one, str):
                found[one] = calibrator(one)
            else:
                found[repr(one)] = unfitted_copy(one)
        return found

    def _division(self, predictions: Predictions) -> Int64:
        """The fold of every sample; units, or samples where there are none, are dealt out in random order."""
        if not isinstance(self.folds, int) or isinstance(self.folds, bool) or self.folds < 2:
            raise InputError(f"folds of calibrator '{self.name}' must be an integer from 2, not {self.folds!r}")
        unit = predictions.columns.get(str(predictions.about.get("unit")))
        unit_of = np.arange(len(predictions)) if unit is None else np.unique(unit, return_inverse=True)[1]
        units = int(unit_of.max()) + 1
        if units < self.folds:
            what = "samples" if unit is None else f"values of '{predictions.about['unit']}'"
            raise InputError(f"calibrator '{self.name}' needs at least {self.folds} {what}, one a fold, not {units}")
        dealt: Int64 = np.random.default_rng(self.seed).permutation(units)[unit_of] % self.folds
        return dealt

    def _score(
        self, candidate: Calibrator, predictions: Predictions, shifted: Sequence[Predictions], fold: Int64
    ) -> float:
        likelihoods = []
        for held_out in range(self.folds):
            with warnings.catch_warnings():  # the final fit says what there is to say
                warnings.simplefilter("ignore", CalibrantWarning)
                fitted = unfitted_copy(candidate).fit(predictions.subset(fold != held_out), shifted=shifted)
                judged = predictions.subset(fold == held_out)
                probs = fitted(judged)
            of_label = probs[np.arange(len(judged)), given_labels(judged, self.name)]
            with np.errstate(divide="ignore"):
                likelihoods.append(np.log(of_label))
        return float(-np.concatenate(likelihoods).mean())

    def _probabilities(self, predictions: Predictions) -> Float64:
        return self.chosen_(predictions)

    def _check_restored(self) -> None:
        if not isinstance(self.chosen_, Calibrator):
            raise InputError("chosen_ must be a calibrator")
        self.chosen_.check_fitted()


CALIBRATORS[BestOf.name] = BestOf
