"""What to do next: rules that follow from the numbers."""

from __future__ import annotations

from calibrant.reporting.measures import MeasuredRun
from calibrant.reporting.results import UNCALIBRATED
from calibrant.reporting.words import calibrator_words, percent

WIDE = 0.04  # half an interval of accuracy; about 500 images at 70 %


def next_steps(lead: MeasuredRun) -> list[str]:
    """Say what to do with a run.

    Args:
        lead: the run the first box speaks of.

    Returns:
        One to six sentences, the most useful first.
    """
    steps = [*_on_calibration(lead), *_on_shift(lead), *_on_tuning(lead), *_on_size(lead)]
    if lead.main.result.images is not None and not lead.main.final.correct.all():
        steps.append("Look at the most trusted wrong answers below: wrong labels and look-alike classes explain many.")
    if steps and not lead.run.explained:
        steps.append("See whether right answers rest on the object (calibrant explain) and write this report again.")
    return steps or ["Measure on a set that looks like the images you will meet, and write this report again."]


def _on_calibration(lead: MeasuredRun) -> list[str]:
    main = lead.main
    if main.final_name == UNCALIBRATED:
        if main.raw.gap.sign == 0:
            return []
        return ["Fit temperature scaling on validation images (calibrant calibrate) and write this report again."]
    name = calibrator_words(main.final_name)
    if main.final_name in lead.run.unsettled:
        return [f"Fit {name} on more held-out images: those it was fitted on do not tell how sure to be."]
    sign = main.calibration_change.sign
    if sign < 0:
        return [f"Use the confidence after {name}, not the raw one."]
    if sign > 0:
        return [f"Leave out {name}: it harms here. Check that the validation images look like the test images."]
    return [f"Raw confidence and confidence after {name} are equally good here: use either."]


def _on_shift(lead: MeasuredRun) -> list[str]:
    gaps = [(one.final.gap, one.result.name) for one in lead.sets if one.result.kind == "ood"]
    sure = [(size.value, name) for size, name in gaps if size.sign > 0]
    if not sure:
        return []
    worst = max(sure)[1]
    return [
        f"Do not rely on its confidence for images like {worst}. Have a person check them,"
        " or label some and tune again."
    ]


def _on_tuning(lead: MeasuredRun) -> list[str]:
    change = lead.main.tuning_change
    if not lead.tuned or change is None or change.sign > 0:
        return []
    return ["Tuning has not clearly helped: give it more images of each class, or try another method."]


def _on_size(lead: MeasuredRun) -> list[str]:
    answers = lead.main.raw
    right = answers.values["accuracy"]
    if not right.known:
        return ["Test on more images: these are too few to say how often it is right."]
    half = (right.high - right.low) / 2
    if half <= WIDE:
        return []
    n = len(answers.correct)
    return [f"Test on more images: {n:,} tell the share of right answers only to about ± {percent(half)}."]
