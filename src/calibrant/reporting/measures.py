"""Everything the report says in numbers, measured once from the stored probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from calibrant import metrics
from calibrant.reporting.estimates import Estimate
from calibrant.reporting.results import UNCALIBRATED, RunResults, SetResult

ZERO_SHOT = "zero-shot"


@dataclass(frozen=True)
class Answers:
    """What a model answers on one set with one calibrator, and how good that is.

    Args:
        answer: int [N], the class with the highest probability.
        confidence: float64 [N], that probability.
        correct: bool [N].
        units: [N] unit of independence, or None.
        values: measure name to value with 95 % interval.
        noise_floor: the calibration error a perfectly calibrated model would show on these N images.
        curve: the arrays of the reliability diagram.
    """

    answer: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float64]
    correct: npt.NDArray[np.bool_]
    units: npt.NDArray[np.generic] | None
    values: Mapping[str, Estimate]
    noise_floor: float
    curve: metrics.Reliability


def measure(
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    units: npt.NDArray[np.generic] | None = None,
) -> Answers:
    """Measure one table of probabilities.

    Args:
        probabilities: float [N, C], rows sum to 1.
        labels: int [N].
        units: [N] unit of independence, or None.

    Returns:
        The answers with their measures.

    Example:
        >>> round(measure(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])).values["accuracy"].value, 3)
        1.0
    """
    answer = np.argmax(probabilities, axis=1)
    confidence = np.max(probabilities, axis=1).astype(np.float64)
    measured = metrics.summary_with_intervals(probabilities, labels, units=units)
    return Answers(
        answer=answer,
        confidence=confidence,
        correct=answer == labels,
        units=units,
        values={name: Estimate.of(one["value"], one["low"], one["high"]) for name, one in measured.items()},
        noise_floor=measured["ece_noise_floor"]["value"],
        curve=metrics.reliability(probabilities, labels, bins=15),
    )


@dataclass(frozen=True)
class MeasuredSet:
    """One evaluation set with the measured answers of every calibrator and of the zero-shot model."""

    result: SetResult
    calibrated: Mapping[str, Answers]
    zero_shot: Answers | None

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
    order = sorted(result.probabilities, key=lambda name: name != UNCALIBRATED)
    return MeasuredSet(
        result,
        {name: measure(result.probabilities[name], result.labels, result.units) for name in order},
        None if result.zero_shot is None else measure(result.zero_shot, result.labels, result.units),
    )
