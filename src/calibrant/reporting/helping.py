"""Which calibrator helps on which set of images, and whether the difference is more than chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from calibrant import metrics
from calibrant.metrics.scores import Scores
from calibrant.reporting.measures import MeasuredRun, MeasuredSet
from calibrant.reporting.results import UNCALIBRATED
from calibrant.reporting.words import calibrator_words, joined

Verdict = Literal["helps", "hurts", "cannot be told"]
VERDICTS: dict[int, Verdict] = {-1: "helps", 0: "cannot be told", 1: "hurts"}
ONE = {"helps": "lowers", "hurts": "raises", "cannot be told": "does not change"}
SEVERAL = {"helps": "lower", "hurts": "raise", "cannot be told": "do not change"}


def verdict(change: metrics.Estimate) -> Verdict:
    """Say whether an error or a loss falls or rises by more than chance.

    Example:
        >>> verdict(metrics.Estimate(-0.02, -0.03, -0.01)), verdict(metrics.Estimate(-0.02, -0.05, 0.01))
        ('helps', 'cannot be told')
    """
    return VERDICTS[change.sign]


@dataclass(frozen=True)
class Effect:
    """What one calibrator changes on one set of images.

    Args:
        set_name: the set.
        kind: what its images are to the run, as in `SetResult`.
        calibrator: its name.
        before: measures without any calibrator, as `Answers.values`.
        after: measures with it.
        ece_change: calibration error with it minus without it, on the same images.
        nll_change: the same for the log loss; None where that is infinite.
        lowest: the calibrator, or "none", with the lowest log loss on this set.
        above_lowest: log loss with it minus that with `lowest`, on the same images; None where that is infinite.
    """

    set_name: str
    kind: str
    calibrator: str
    before: Mapping[str, metrics.Estimate]
    after: Mapping[str, metrics.Estimate]
    ece_change: metrics.Estimate
    nll_change: metrics.Estimate | None
    lowest: str
    above_lowest: metrics.Estimate | None

    @property
    def verdict(self) -> Verdict:
        """Whether the calibration error falls or rises by more than chance."""
        return verdict(self.ece_change)

    @property
    def best(self) -> bool:
        """Whether no other calibrator, nor none, has a lower log loss here."""
        return self.calibrator == self.lowest


def effects(run: MeasuredRun) -> tuple[Effect, ...]:
    """Compare every calibrator of a run with none and with the best, set by set.

    Args:
        run: the run with everything measured.

    Returns:
        One effect for each set and calibrator; empty where the run has no calibrator.
    """
    return tuple(effect for one in run.sets for effect in _effects(one))


def _effects(one: MeasuredSet) -> Iterator[Effect]:
    units = one.result.units
    lowest = min(one.calibrated, key=lambda name: one.calibrated[name].values["nll"].value)
    for name, answers in one.calibrated.items():
        if name == UNCALIBRATED:
            continue
        yield Effect(
            set_name=one.result.name,
            kind=one.result.kind,
            calibrator=name,
            before=one.raw.values,
            after=answers.values,
            ece_change=metrics.ece_difference(one.raw.scores, answers.scores, units=units),
            nll_change=_loss_change(one.raw.scores, answers.scores, units),
            lowest=lowest,
            above_lowest=_loss_change(one.calibrated[lowest].scores, answers.scores, units),
        )


def in_words(found: Sequence[Effect]) -> list[str]:
    """Say where which calibrators help, and which has the lowest log loss.

    Args:
        found: what `effects` gives.

    Returns:
        The sentences.

    Example:
        >>> less, more = metrics.Estimate(-0.05, -0.07, -0.03), metrics.Estimate(0.02, 0.01, 0.03)
        >>> for line in in_words([
        ...     Effect("pets", "id", "temperature", {}, {}, less, less, "temperature", None),
        ...     Effect("pets#new", "new", "temperature", {}, {}, more, more, "none", more),
        ... ]):
        ...     print(line)
        Temperature scaling lowers the calibration error on pets; raises it on pets#new.
        The lowest log loss has temperature scaling on pets (by more than chance); no calibrator on pets#new (by more
        than chance).
    """
    alike: dict[tuple[tuple[str, Verdict], ...], list[str]] = {}
    for calibrator in dict.fromkeys(one.calibrator for one in found):
        does = tuple((one.set_name, one.verdict) for one in found if one.calibrator == calibrator)
        alike.setdefault(does, []).append(_in_a_list(calibrator))
    said = [f"{joined(names)} {_on_error(does, ONE if len(names) == 1 else SEVERAL)}." for does, names in alike.items()]
    return [*(f"{one[0].upper()}{one[1:]}" for one in said), *([_lowest(found)] if found else [])]


def _on_error(does: Sequence[tuple[str, Verdict]], verbs: Mapping[str, str]) -> str:
    """Say what is done to the calibration error on which sets."""
    parts: list[str] = []
    for found in VERDICTS.values():
        names = [name for name, verdict_there in does if verdict_there == found]
        chance = " by more than chance" if found == "cannot be told" else ""
        if names:
            parts.append(f"{verbs[found]} {'it' if parts else 'the calibration error'}{chance} on {joined(names)}")
    return "; ".join(parts)


def _lowest(found: Sequence[Effect]) -> str:
    """Say which calibrator has the lowest log loss where, and where that is more than chance."""
    sets: dict[str, list[str]] = {}
    clear = []
    for name in dict.fromkeys(one.set_name for one in found):
        here = [one for one in found if one.set_name == name]
        clear.append(_stands_out(here))
        sets.setdefault(here[0].lowest, []).append(f"{name} (by more than chance)" if clear[-1] else name)
    parts = [
        f"{'no calibrator' if lowest == UNCALIBRATED else _in_a_list(lowest)} on {joined(names)}"
        for lowest, names in sets.items()
    ]
    chance = "" if all(clear) else " Chance may explain that." if not any(clear) else " Chance may explain the rest."
    return f"The lowest log loss has {'; '.join(parts)}.{chance}"


def _in_a_list(calibrator: str) -> str:
    """Name a calibrator without commas."""
    return " followed by ".join(map(calibrator_words, calibrator.split("+")))


def _stands_out(here: Sequence[Effect]) -> bool:
    """Whether everything else, no calibrator included, has a log loss above the lowest by more than chance."""
    lowest = next((one for one in here if one.best), None)
    others = all(one.above_lowest is None or one.above_lowest.sign > 0 for one in here if not one.best)
    return others and (lowest is None or lowest.nll_change is None or lowest.nll_change.sign < 0)


def _loss_change(before: Scores, after: Scores, units: Any) -> metrics.Estimate | None:
    """By how much the log loss changes, or None where it is infinite."""
    if not (np.isfinite(before.nll).all() and np.isfinite(after.nll).all()):
        return None
    return metrics.paired_difference(before.nll, after.nll, units=units)
