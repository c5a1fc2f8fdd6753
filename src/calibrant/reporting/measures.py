"""Everything the report says in numbers, measured once from the stored probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from calibrant import metrics
from calibrant.metrics.reliability import reliability_of
from calibrant.metrics.scores import Scores
from calibrant.metrics.summary import measured_scores
from calibrant.reporting.results import UNCALIBRATED, RunResults, Scored, SetResult

ZERO_SHOT = "zero-shot"
# the others take several times as long to redraw
REPORTED = ("accuracy", "ece", "ece_debiased", "nll", "brier", "mean_confidence", "ece_noise_floor")


@dataclass(frozen=True)
class Answers:
    """What a model answers on one set with one calibrator, and how good that is.

    Args:
        answer: int64 [N], the class with the highest probability.
        scores: its confidence, correctness, likelihood and Brier score, of each image.
        units: [N] unit of independence, or None.
        values: measure name to value with 95 % interval.
        noise_floor: the calibration error a perfectly calibrated model would show on these N images.
        curve: the arrays of the reliability diagram.
    """

    answer: npt.NDArray[np.int64]
    scores: Scores
    units: npt.NDArray[np.generic] | None
    values: Mapping[str, metrics.Estimate]
    noise_floor: float
    curve: metrics.Reliability

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """The probability of each answer, float64 [N]."""
        return self.scores.confidence

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is right, bool [N]."""
        return self.scores.correct

    @cached_property
    def gap(self) -> metrics.Estimate:
        """Average confidence minus share right; positive is too sure."""
        return metrics.confidence_gap(self.scores, units=self.units)


def measure(scored: Scored, units: npt.NDArray[np.generic] | None = None) -> Answers:
    """Measure the answers of one model with one calibrator.

    Args:
        scored: what is kept of its table of probabilities.
        units: [N] unit of independence, or None.

    Returns:
        The answers with their measures.
    """
    scores = scored.scores
    measured = measured_scores(scores, units=units, measures=REPORTED)
    return Answers(
        answer=scored.answer,
        scores=scores,
        units=units,
        values={name: metrics.Estimate.of(one) for name, one in measured.items()},
        noise_floor=measured["ece_noise_floor"]["value"],
        curve=reliability_of(scores.confidence, scores.correct, units=units),
    )


@dataclass(frozen=True)
class MeasuredSet:
    """One evaluation set with the measured answers of every calibrator and of the zero-shot model."""

    result: SetResult
    calibrated: Mapping[str, Answers]

    @cached_property
    def zero_shot(self) -> Answers | None:
        """The answers before tuning, or None; measured when first asked for, since many runs share them."""
        before = self.result.before_tuning
        return None if before is None else measure(before, self.result.units)

    @cached_property
    def calibration_change(self) -> metrics.Estimate:
        """By how much calibrating changes the expected calibration error."""
        return metrics.ece_difference(self.raw.scores, self.final.scores, units=self.result.units)

    @cached_property
    def tuning_change(self) -> metrics.Estimate | None:
        """By how much tuning changes the accuracy, or None where the zero-shot answers are not known."""
        return None if self.zero_shot is None else accuracy_change(self.zero_shot, self.raw)

    @property
    def raw(self) -> Answers:
        """The answers of the model as it is."""
        return self.calibrated[UNCALIBRATED]

    @property
    def final_name(self) -> str:
        """The calibrator to go by: the first after "none", or "none" where there is no other."""
        return next((name for name in self.calibrated if name != UNCALIBRATED), UNCALIBRATED)

    @property
    def final(self) -> Answers:
        """The answers with that calibrator."""
        return self.calibrated[self.final_name]


@dataclass(frozen=True)
class MeasuredRun:
    """One run with everything measured."""

    run: RunResults
    sets: tuple[MeasuredSet, ...]

    @property
    def tuned(self) -> bool:
        """Whether this is anything but the model before tuning."""
        return self.run.method != ZERO_SHOT

    @cached_property
    def main(self) -> MeasuredSet:
        """The set the first sentences speak of: images like the training ones where there are any."""
        return next((one for one in self.sets if one.result.kind == "id"), self.sets[0])

    def find(self, name: str) -> MeasuredSet | None:
        """The set of that name, or None."""
        return next((one for one in self.sets if one.result.name == name), None)


def measure_run(run: RunResults) -> MeasuredRun:
    """Measure every set of a run.

    Args:
        run: the stored results.

    Returns:
        The same with measures.
    """
    return MeasuredRun(run, tuple(_measure_set(one) for one in run.sets))


def _measure_set(result: SetResult) -> MeasuredSet:
    return MeasuredSet(result, {name: measure(one, result.units) for name, one in result.calibrated.items()})


def accuracy_change(before: Answers, after: Answers) -> metrics.Estimate:
    """After minus before, paired by image."""
    return metrics.paired_difference(before.correct, after.correct, units=after.units)
