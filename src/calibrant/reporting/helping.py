"""Which calibrator helps on which set of images, and whether the difference is more than chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calibrant import metrics
from calibrant.metrics.scores import Scores
from calibrant.reporting.measures import MeasuredRun
from calibrant.reporting.results import UNCALIBRATED
from calibrant.reporting.words import calibrator_words, joined

Verdict = Literal["helps", "hurts", "cannot tell"]
VERDICTS: dict[int, Verdict] = {-1: "helps", 0: "cannot tell", 1: "hurts"}


@dataclass(frozen=True)
class Effect:
    """What one calibrator changes on one set of images.

    Args:
        set_name: the set.
        kind: what its images are to the run, as in `SetResult`.
        calibrator: its name.
        ece: calibration error with it.
        ece_change: with it minus without it, on the same images.
        nll_change: the same for the log loss; None where that is infinite.
        best: whether no other calibrator, nor none, has a lower log loss here.
    """

    set_name: str
    kind: str
    calibrator: str
    ece: metrics.Estimate
    ece_change: metrics.Estimate
    nll_change: metrics.Estimate | None
    best: bool

    @property
    def verdict(self) -> Verdict:
        """Whether the calibration error falls or rises by more than chance."""
        return VERDICTS[self.ece_change.sign]


def effects(run: MeasuredRun) -> tuple[Effect, ...]:
    """Compare every calibrator of a run with none, set by set.

    Args:
        run: the run with everything measured.

    Returns:
        One effect for each set and calibrator; empty where the run has no calibrator.
    """
    return tuple(_effects(run))


def _effects(run: MeasuredRun) -> Iterator[Effect]:
    for one in run.sets:
        lowest = min(one.calibrated, key=lambda name: one.calibrated[name].values["nll"].value)
        for name, answers in one.calibrated.items():
            if name == UNCALIBRATED:
                continue
            units = one.result.units
            yield Effect(
                set_name=one.result.name,
                kind=one.result.kind,
                calibrator=name,
                ece=answers.values["ece"],
                ece_change=metrics.ece_difference(one.raw.scores, answers.scores, units=units),
                nll_change=_loss_change(one.raw.scores, answers.scores, units),
                best=name == lowest,
            )


def in_words(found: Sequence[Effect]) -> list[str]:
    """Say where each calibrator helps, a sentence for each.

    Args:
        found: what `effects` gives.

    Returns:
        The sentences.

    Example:
        >>> less, more = metrics.Estimate(-0.05, -0.07, -0.03), metrics.Estimate(0.02, 0.01, 0.03)
        >>> error = metrics.Estimate(0.04, 0.02, 0.06)
        >>> in_words([
        ...     Effect("pets", "id", "temperature", error, less, less, True),
        ...     Effect("pets#new", "new", "temperature", error, more, more, False),
        ... ])
        ['Temperature scaling lowers the calibration error on pets; raises the calibration error on pets#new.']
    """
    sentences = []
    for calibrator in dict.fromkeys(one.calibrator for one in found):
        parts = []
        for verdict, does in (
            ("helps", "lowers the calibration error on"),
            ("hurts", "raises the calibration error on"),
            ("cannot tell", "may make no difference on"),
        ):
            names = [one.set_name for one in found if (one.calibrator, one.verdict) == (calibrator, verdict)]
            if names:
                parts.append(f"{does} {joined(names)}")
        name = calibrator_words(calibrator)
        sentences.append(f"{name[0].upper()}{name[1:]} {'; '.join(parts)}.")
    return sentences


def _loss_change(before: Scores, after: Scores, units: Any) -> metrics.Estimate | None:
    """By how much the log loss changes, or None where it is infinite."""
    if not (np.isfinite(before.nll).all() and np.isfinite(after.nll).all()):
        return None
    return metrics.paired_difference(before.nll, after.nll, units=units)
