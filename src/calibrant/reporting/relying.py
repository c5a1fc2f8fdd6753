"""When to rely on an answer, and how many classes it takes to hold the right one: in words and rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrant.calibration.selective import AnswerRule, needed_words
from calibrant.metrics import SetSummary

RISKS = (0.01, 0.05, 0.1, 0.2)
USUAL = 0.05
SET_WORDS = {"thr": "smallest sets (THR)", "aps": "adaptive sets (APS)"}


@dataclass(frozen=True)
class MeasuredSets:
    """Prediction sets on one evaluation set.

    Args:
        set_name: the evaluation set.
        promised: whether its images are like those that the sets were fitted on, so that the promise holds.
        kind: ``"thr"`` or ``"aps"``.
        alpha: the share of sets that may miss the right class.
        summary: coverage and size.
    """

    set_name: str
    promised: bool
    kind: str
    alpha: float
    summary: SetSummary


@dataclass(frozen=True)
class Reliance:
    """What validation images say about relying on the answers of one run.

    Args:
        calibrator: whose confidence is meant.
        rules: one per risk, smallest first.
        sets: prediction sets, evaluation set by evaluation set.
    """

    calibrator: str
    rules: tuple[AnswerRule, ...] = ()
    sets: tuple[MeasuredSets, ...] = ()


def when_to_rely(rules: Sequence[AnswerRule]) -> str:
    """Say from which confidence on answers can be relied on.

    Args:
        rules: one per risk, at least one.

    Returns:
        Sentences about the usual risk, or the smallest that can be promised; and what a smaller one would take.

    Example:
        >>> print(when_to_rely([
        ...     AnswerRule(0.01, 0.95, None, 400, 100, 1, 0.03), AnswerRule(0.05, 0.95, 0.87, 400, 284, 6, 0.041)
        ... ]))
        Answers above 0.87 (71 % of images): at most 5 % wrong, 95 % certain (n = 284, 6 errors). For 1 % about 300
        answers without an error are needed.
    """
    ordered = sorted(rules, key=lambda rule: rule.risk)
    kept = [rule for rule in ordered if rule.threshold is not None]
    if not kept:
        return ordered[-1].sentence()
    lead = next((rule for rule in kept if rule.risk >= USUAL), kept[-1])
    said = [lead.sentence()]
    stricter = [rule for rule in ordered if rule.risk < lead.risk]
    if stricter:
        below = stricter[-1]
        needed = needed_words(below.risk, below.certainty)
        missing = f"For {100 * below.risk:g} % {needed[0].lower()}{needed[1:]} are needed."
        said.append(missing if below.threshold is None else below.sentence())
    return " ".join(said)
