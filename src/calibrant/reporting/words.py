"""The first box: what the numbers say, in plain sentences that claim nothing inside an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrant.metrics import Estimate, share
from calibrant.reporting.formats import ends, number
from calibrant.reporting.measures import Answers, MeasuredRun, MeasuredSet, accuracy_change
from calibrant.reporting.relying import when_to_rely
from calibrant.reporting.results import KIND_WORDS, UNCALIBRATED

SAYS, WINDOW, ENOUGH = 0.9, 0.05, 20


@dataclass(frozen=True)
class Point:
    """One line of the box: what it is about, and the sentences."""

    about: str
    text: str


def percent(value: float) -> str:
    """Write a share as whole per cent, with a digit more near the ends.

    Example:
        >>> percent(0.714), percent(0.0034), percent(0.996)
        ('71 %', '0.3 %', '99.6 %')
    """
    digits = 1 if 0 < value < 0.01 or 0.99 < value < 1 else 0
    return f"{100 * value:.{digits}f} %"


def interval(estimate: Estimate) -> str:
    """Write the 95 % interval of a share.

    Example:
        >>> interval(Estimate(0.7, 0.684, 0.741)), interval(Estimate(1.0, float("nan"), float("nan")))
        ('68–74 %', 'unknown')
    """
    if not estimate.known:
        return "unknown"
    low, high = percent(estimate.low), percent(estimate.high)
    return f"{low.removesuffix(' %')}–{high}"


def points(change: Estimate) -> str:
    """Write a change of a share in percentage points with its interval, without its sign."""
    ends = sorted((abs(change.low), abs(change.high)))
    digits = 1 if abs(change.value) < 0.0095 else 0
    return f"{100 * abs(change.value):.{digits}f} points ({100 * ends[0]:.{digits}f}–{100 * ends[1]:.{digits}f})"


def calibrator_words(name: str) -> str:
    """Name a calibrator for a reader.

    Example:
        >>> calibrator_words("temperature"), calibrator_words("none")
        ('temperature scaling', 'as it is')
        >>> calibrator_words("cac+temperature")
        'CAC (a reconstruction), then temperature scaling'
    """
    known = {
        UNCALIBRATED: "as it is",
        "temperature": "temperature scaling",
        "dac": "DAC",
        "cac": "CAC (a reconstruction)",
    }
    return ", then ".join(known.get(part, part) for part in name.split("+"))


def joined(parts: Sequence[str]) -> str:
    """List things in a sentence.

    Example:
        >>> joined(["a", "b", "c"])
        'a, b and c'
    """
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def first_box(group: Sequence[MeasuredRun]) -> list[Point]:
    """Say what was measured about runs that were tuned on the same data.

    Args:
        group: runs on the same model and data, at least one.

    Returns:
        The points in reading order, about the most accurate tuned run.
    """
    lead = choose_lead(group)
    made = [_what_it_is(lead), *([_which_method(group, lead)] if sum(run.tuned for run in group) > 1 else [])]
    made += [_how_often_right(lead), _says_ninety(lead.main), *_when_to_rely(lead)]
    made += [point for kind in ("ood", "new") if (point := _elsewhere(lead, kind)) is not None]
    if lead.main.final_name != UNCALIBRATED:
        made.append(_calibrating(lead))
    return made


def choose_lead(group: Sequence[MeasuredRun]) -> MeasuredRun:
    """The run the sentences speak of: the most accurate tuned one on its main set."""
    tuned = [run for run in group if run.tuned] or list(group)
    return max(tuned, key=lambda run: float(np.mean(run.main.raw.correct)))


def _what_it_is(lead: MeasuredRun) -> Point:
    run, classes = lead.run, len(lead.main.result.classes)
    if not lead.tuned:
        return Point("What this is", f"{run.model} as it comes, without tuning, asked about {classes} classes.")
    text = f"{run.title}: the model {run.model}, tuned on {run.data} with the method {run.method}."
    return Point("What this is", f"{text} It chooses among {classes} classes.")


def _which_method(group: Sequence[MeasuredRun], lead: MeasuredRun) -> Point:
    worse: list[str] = []
    level: list[str] = []
    for run in group:
        other = run.find(lead.main.result.name)
        if run is lead or not run.tuned or other is None or list(other.result.ids) != list(lead.main.result.ids):
            continue  # a paired comparison needs the same images
        change = accuracy_change(other.raw, lead.main.raw)
        shown = f"{run.run.title} ({percent(float(np.mean(other.raw.correct)))})"
        (worse if change.sign > 0 else level).append(shown)
    text = f"{lead.run.title} is right most often here ({percent(float(np.mean(lead.main.raw.correct)))})."
    if level:
        text += f" {joined(level)} cannot be told apart from it on these images."
    if worse:
        verb = "is" if len(worse) == 1 else "are"
        text += f" {joined(worse)} {verb} less accurate, by more than chance explains."
    text += " It was picked on these same images, so expect slightly less on others."
    return Point("Which method", text)


def _how_often_right(lead: MeasuredRun) -> Point:
    main, answers = lead.main, lead.main.raw
    right = answers.values["accuracy"]
    text = f"On {KIND_WORDS[main.result.kind]} it is right {percent(right.value)} of the time"
    text += f" (95 % interval {interval(right)}; {len(answers.correct):,} images)."
    change = main.tuning_change
    if lead.tuned and main.zero_shot is not None and change is not None:
        before = percent(main.zero_shot.values["accuracy"].value)
        if change.sign == 0:
            text += f" Before tuning it was right {before} of the time: too close to call a difference."
        else:
            moved = "gained" if change.sign > 0 else "lost"
            text += f" Before tuning it was {before}: tuning {moved} {points(change)}."
    return Point("How often it is right", text)


def _when_to_rely(lead: MeasuredRun) -> list[Point]:
    reliance = lead.run.reliance
    if reliance is None or not reliance.rules:
        return []
    confidence = "" if reliance.calibrator == UNCALIBRATED else f" after {calibrator_words(reliance.calibrator)}"
    meant = f"This is the confidence{confidence}, tested on validation images; of shifted images it says nothing."
    return [Point("When to rely on an answer", f"{when_to_rely(reliance.rules)} {meant}")]


def near_ninety(answers: Answers) -> tuple[int, Estimate | None]:
    """Count the answers with about 90 % confidence, and the share that is right (None: too few to tell)."""
    chosen = np.abs(answers.confidence - SAYS) <= WINDOW
    count = int(np.sum(chosen))
    if count < ENOUGH:
        return count, None
    return count, share(answers.correct[chosen], None if answers.units is None else answers.units[chosen])


def _says_ninety(main: MeasuredSet) -> Point:
    sentences = [_at_ninety("When", main.raw)]
    if main.final_name != UNCALIBRATED:
        sentences.append(_at_ninety(f"After {calibrator_words(main.final_name)}, when", main.final))
    return Point("Can its confidence be believed", " ".join(sentences))


def _at_ninety(start: str, answers: Answers) -> str:
    count, found = near_ninety(answers)
    if found is None:
        return f"{start} it says about 90 %, it is too rare ({count} answers) to tell how often it is right."
    if found.low <= SAYS <= found.high:
        verdict = "which fits"
    else:
        verdict = "less often than it says" if found.high < SAYS else "more often than it says"
    right = f"{percent(found.value)} of the time ({interval(found)}; {count:,} answers)"
    return f"{start} it says about 90 %, it is right {right}, {verdict}."


def _elsewhere(lead: MeasuredRun, kind: str) -> Point | None:
    sets = [one for one in lead.sets if one.result.kind == kind and one is not lead.main]
    if not sets:
        return None
    return Point(
        "Shifted images" if kind == "ood" else "New classes",
        f"{_range_of_accuracy(sets, kind)} {_trust(sets)}",
    )


def _range_of_accuracy(sets: Sequence[MeasuredSet], kind: str) -> str:
    ordered = sorted(sets, key=lambda one: one.raw.values["accuracy"].value)
    where = "images that differ from the training ones" if kind == "ood" else "classes it was not tuned on"
    shown = [(one.result.name, one.raw.values["accuracy"]) for one in ordered]
    if len(shown) == 1:
        name, right = shown[0]
        return f"On {where} ({name}) it is right {percent(right.value)} of the time ({interval(right)})."
    (low_name, low), (high_name, high) = shown[0], shown[-1]
    return (
        f"On {len(shown)} sets of {where} it is right between {percent(low.value)} of the time"
        f" ({low_name}; {interval(low)}) and {percent(high.value)} ({high_name}; {interval(high)})."
    )


def _trust(sets: Sequence[MeasuredSet]) -> str:
    gaps = [(one, one.final.gap) for one in sets]
    sure = sorted((pair for pair in gaps if pair[1].sign > 0), key=lambda pair: -pair[1].value)
    unsure = [pair for pair in gaps if pair[1].sign < 0]
    after = "" if sets[0].final_name == UNCALIBRATED else f" even after {calibrator_words(sets[0].final_name)}"
    if not sure and not unsure:
        return "On average its confidence fits how often it is right, within the uncertainty."
    sentences = []
    if sure:
        worst, size = sure[0]
        many = "there" if len(sets) == 1 else f"on {joined([one.result.name for one, _ in sure])}"
        most = "" if len(sure) == 1 else f", most on {worst.result.name}"
        sentences.append(f"It is too sure of itself {many}{after}{most}: on average by {points(size)}.")
    if unsure:
        many = "there" if len(sets) == 1 else f"on {joined([one.result.name for one, _ in unsure])}"
        sentences.append(f"It is less sure than it could be {many}.")
    return " ".join(sentences)


def _calibrating(lead: MeasuredRun) -> Point:
    main, name = lead.main, calibrator_words(lead.main.final_name)
    sign = main.calibration_change.sign
    before, after = (_error(answers) for answers in (main.raw, main.final))
    if sign == 0:
        effect = f"does not clearly change the calibration error (before {before}, after {after})"
    else:
        effect = f"{'lowers' if sign < 0 else 'raises'} the calibration error from {before} to {after}"
    text = f"{name[0].upper()}{name[1:]} {effect}; 0 is perfect, the part that chance adds is taken off."
    others = [one.calibration_change.sign for one in lead.sets if one is not main]
    if others:
        counts = (("it helps", -1), ("it harms", 1), ("there is no clear difference", 0))
        parts = [f"on {others.count(sign)} {what}" for what, sign in counts if sign in others]
        text += f" Of the {len(others)} other sets, {joined(parts)}." if len(others) > 1 else ""
    same = np.array_equal(main.raw.answer, main.final.answer)
    text += " It changes no answer, only how sure the model is." if same else " It also changes some of the answers."
    return Point(f"What {name} does", text)


def _error(answers: Answers) -> str:
    """Write the calibration error without the part of chance, with its interval."""
    found = answers.values["ece_debiased"]
    return f"{number(found.value, share=False)} ({ends(found, share=False)})"
