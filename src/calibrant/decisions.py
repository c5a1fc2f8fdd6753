"""What to do with an answer: give it, or hand the image to a human."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from calibrant.answers import Row
from calibrant.arrays import Float64
from calibrant.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calibrant.calibration import AnswerRule, Calibrator, Costs, CostSummary
    from calibrant.runs import Run

ANSWER, UNSURE, ASK = "answer", "unsure", "ask"


class Decider(Protocol):
    """Adds columns to the rows of answers."""

    columns: ClassVar[tuple[str, ...]]
    handed_on: ClassVar[str]  # the verdict on images that are not answered

    def identity(self) -> Any:
        """Give what decides, as JSON can hold it: rows of different ones do not belong into one table."""

    def row(self, probabilities: Float64) -> Row:
        """Decide on one image by its calibrated probabilities, float64 [C]."""

    def says(self) -> Mapping[str, Any]:
        """Give the evidence: one sentence under ``says``, and the numbers behind it."""


@dataclass(frozen=True)
class AnswerAbove:
    """Answers from a confidence on.

    Args:
        rule: has a threshold.
    """

    rule: AnswerRule
    columns: ClassVar[tuple[str, ...]] = ("verdict",)
    handed_on: ClassVar[str] = UNSURE

    def identity(self) -> Any:
        return self.rule.threshold

    def row(self, probabilities: Float64) -> Row:
        sure = self.rule.answers(probabilities.max(keepdims=True))[0]
        return {"verdict": ANSWER if sure else UNSURE}

    def says(self) -> Mapping[str, Any]:
        return {"says": self.rule.sentence(), **self.rule.record()}


@dataclass(frozen=True)
class Cheapest:
    """Decides by what each decision is expected to cost.

    Args:
        costs: for the class list at hand.
        measured: what this costs on validation images, or None where there are none of these classes.
    """

    costs: Costs
    measured: CostSummary | None
    columns: ClassVar[tuple[str, ...]] = ("verdict", "decision", "expected_cost")
    handed_on: ClassVar[str] = ASK

    def identity(self) -> Any:
        return [list(self.costs.classes), self.costs.of_decisions.tolist()]

    def row(self, probabilities: Float64) -> Row:
        expected = self.costs.expected(probabilities[None])[0]
        cheapest = int(expected.argmin())
        asked = cheapest == len(self.costs.classes)
        return {
            "verdict": ASK if asked else ANSWER,
            "decision": None if asked else self.costs.classes[cheapest],
            "expected_cost": round(float(expected[cheapest]), 6),
        }

    def says(self) -> Mapping[str, Any]:
        if self.measured is None:
            return {"says": "What these decisions cost is not known: there are no validation images of these classes."}
        return {"says": self.measured.sentence(), **self.measured.record()}


def decider_of(
    run: Run,
    calibrator: Calibrator,
    classes: Sequence[str],
    *,
    abstain: float | None = None,
    costs: str | Path | Costs | None = None,
    offline: bool = False,
) -> Decider | None:
    """Choose how to decide on answers.

    Args:
        run: the run that answers.
        calibrator: the fitted calibrator that is used.
        classes: the class list that is chosen from.
        abstain: the share of answers that may be wrong, or None.
        costs: costs or a file of them, or None.
        offline: never open a socket, should validation images have to be predicted.

    Returns:
        What decides, or None where every answer is simply given.

    Raises:
        InputError: if both are given, the costs are of other classes, or no confidence keeps the promise.
    """
    from calibrant.abstain import stored_rule

    if abstain is not None and costs is not None:
        raise InputError("give a risk to abstain by, or costs to decide by, not both")
    if abstain is not None:
        if list(classes) != run.classes:
            raise InputError("a threshold for abstaining is tested on the tuned classes only; choose from just these")
        rule = stored_rule(run, calibrator, abstain, offline=offline)
        if rule.threshold is None:
            raise InputError(rule.sentence())
        return AnswerAbove(rule)
    if costs is None:
        return None
    return _cheapest(run, calibrator, classes, costs, offline)


def _cheapest(
    run: Run, calibrator: Calibrator, classes: Sequence[str], costs: str | Path | Costs, offline: bool
) -> Cheapest:
    from calibrant.abstain import validation_of, validation_parts
    from calibrant.calibration import Costs, cost_summary, read_costs

    given = (costs if isinstance(costs, Costs) else read_costs(costs)).for_classes(classes)
    if list(classes) != run.classes or "validation" not in run.record["counts"]:
        return Cheapest(given, None)
    tested = validation_parts(validation_of(run, offline=offline), calibrator).threshold
    return Cheapest(given, cost_summary(given, tested.probabilities, tested.labels, units=tested.units))
