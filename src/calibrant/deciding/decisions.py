"""What to do with an answer: give it, or hand the image to a human."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from calibrant.arrays import Float64
from calibrant.deciding.answer_table import Row
from calibrant.errors import InputError
from calibrant.measuring.expected_cost import given_costs, thresholds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from calibrant.calibration import AnswerRule, Calibrator, Costs, CostSummary, Prior
    from calibrant.deciding.unknown_images import KnownImages
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

ANSWER, UNSURE, ASK = "answer", "unsure", "ask"
NONE_OF_THESE = "none of these"


class Decider(Protocol):
    """Adds columns to the rows of answers."""

    columns: ClassVar[tuple[str, ...]]
    handed_on: ClassVar[tuple[str, ...]]  # the verdicts on images that are not answered

    def identity(self) -> Any:
        """Give what decides, as JSON can hold it: rows of different ones do not belong into one table."""

    def rows(self, predictions: Predictions, probabilities: Float64) -> list[Row]:
        """Decide on N images by their predictions and calibrated probabilities, float64 [N, C]."""

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
    handed_on: ClassVar[tuple[str, ...]] = (UNSURE,)

    def identity(self) -> Any:
        return self.rule.threshold

    def rows(self, predictions: Predictions, probabilities: Float64) -> list[Row]:
        return [{"verdict": ANSWER if sure else UNSURE} for sure in self.rule.answers(probabilities.max(axis=1))]

    def says(self) -> Mapping[str, Any]:
        return {"says": self.rule.sentence(), **self.rule.record()}


@dataclass(frozen=True)
class AnswerKnown:
    """Answers only images of the classes.

    Args:
        known: tells them apart.
        inside: decides on these; None to answer them all.
    """

    known: KnownImages
    inside: AnswerAbove | None
    columns: ClassVar[tuple[str, ...]] = ("verdict",)
    handed_on: ClassVar[tuple[str, ...]] = (UNSURE, NONE_OF_THESE)

    def identity(self) -> Any:
        return [None if self.inside is None else self.inside.identity(), self.known.rule.record()]

    def rows(self, predictions: Predictions, probabilities: Float64) -> list[Row]:
        found = [{"verdict": ANSWER}] * len(probabilities)
        if self.inside is not None:
            found = self.inside.rows(predictions, probabilities)
        of_these = self.known(predictions)
        return [row if one else {"verdict": NONE_OF_THESE} for row, one in zip(found, of_these, strict=True)]

    def says(self) -> Mapping[str, Any]:
        told = {"known": self.known.rule.record()}
        if self.inside is None:
            return {"says": self.known.rule.sentence(), **told}
        evidence = self.inside.says()
        return {**evidence, "says": f"{self.known.rule.sentence()} Of the others: {evidence['says']}", **told}


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
    handed_on: ClassVar[tuple[str, ...]] = (ASK,)

    def identity(self) -> Any:
        return [list(self.costs.classes), self.costs.of_decisions.tolist()]

    def rows(self, predictions: Predictions, probabilities: Float64) -> list[Row]:
        return [self._row(expected) for expected in self.costs.expected(probabilities)]

    def _row(self, expected: Float64) -> Row:
        cheapest = int(expected.argmin())
        asked = cheapest == len(self.costs.classes)
        return {
            "verdict": ASK if asked else ANSWER,
            "decision": None if asked else self.costs.classes[cheapest],
            "expected_cost": round(float(expected[cheapest]), 6),
        }

    def says(self) -> Mapping[str, Any]:
        cheapest_from = {"thresholds": thresholds(self.costs)}
        if self.measured is None:
            unknown = "What these decisions cost is not known: there are no validation images of these classes."
            return {"says": unknown, **cheapest_from}
        return {"says": self.measured.sentence(), **self.measured.record(), **cheapest_from}


def decider_of(
    run: Run,
    calibrator: Calibrator,
    classes: Sequence[str],
    *,
    abstain: float | None = None,
    costs: str | Path | Costs | None = None,
    prior: Prior | None = None,
    known: KnownImages | None = None,
    offline: bool = False,
) -> Decider | None:
    """Choose how to decide on answers.

    Args:
        run: the run that answers.
        calibrator: the fitted calibrator that is used.
        classes: the class list that is chosen from.
        abstain: the share of answers that may be wrong, or None.
        costs: costs or a file of them, or None.
        prior: the class frequencies that answers are corrected for, or None for those of the validation images.
        known: tells images of none of the classes, or None where all are taken for known.
        offline: never open a socket, should validation images have to be predicted.

    Returns:
        What decides, or None where every answer is simply given.

    Raises:
        InputError: if both are given, the costs are of other classes, or no confidence keeps the promise.
    """
    from calibrant.deciding.abstain import stored_rule

    if abstain is not None and costs is not None:
        raise InputError("give a risk to abstain by, or costs to decide by, not both")
    if known is not None and costs is not None:
        raise InputError(
            "costs do not say what an answer costs for an image of none of the classes; leave one of them out"
        )
    if known is not None and list(classes) != run.classes:
        raise InputError("images of none of these are told apart for the tuned classes only; choose from just these")
    if abstain is not None:
        if list(classes) != run.classes:
            raise InputError("a threshold for abstaining is tested on the tuned classes only; choose from just these")
        rule = stored_rule(run, calibrator, abstain, prior=prior, known=known, offline=offline)
        if rule.threshold is None:
            raise InputError(rule.sentence())
        return AnswerAbove(rule) if known is None else AnswerKnown(known, AnswerAbove(rule))
    if known is not None:
        return AnswerKnown(known, None)
    if costs is None:
        return None
    return _cheapest(run, calibrator, classes, costs, prior, offline)


def _cheapest(
    run: Run,
    calibrator: Calibrator,
    classes: Sequence[str],
    costs: str | Path | Costs,
    prior: Prior | None,
    offline: bool,
) -> Cheapest:
    from calibrant.calibration import cost_summary
    from calibrant.deciding.abstain import at_prior, validation_of, validation_parts

    given = given_costs(costs).for_classes(classes)
    if list(classes) != run.classes or "validation" not in run.record["counts"]:
        return Cheapest(given, None)
    parts = validation_parts(validation_of(run, offline=offline), calibrator)
    tested = (parts if prior is None else at_prior(parts, prior)).threshold
    return Cheapest(given, cost_summary(given, tested.probabilities, tested.labels, units=tested.units))
