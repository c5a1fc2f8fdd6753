"""Rows of the tables: every method x calibrator x evaluation set, for the page and the terminal alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from calibrant.reporting.measures import ZERO_SHOT, Answers, MeasuredRun
from calibrant.reporting.results import UNCALIBRATED, Kind


@dataclass(frozen=True)
class Measure:
    """How a measure is shown: its key, heading, meaning, and whether it is a share."""

    key: str
    heading: str
    share: bool
    meaning: str


MEASURES = (
    Measure("accuracy", "Accuracy", True, "Share of images whose answer is right. Higher is better."),
    Measure(
        "ece",
        "ECE",
        False,
        "Expected calibration error: answers are sorted by confidence into 15 bins of equal width; in "
        "each bin the average confidence is compared with the share that is right; the gaps are "
        "averaged, weighted by the number of images. 0 is perfect, lower is better. Few images raise "
        "it: the floor under each value is what a perfectly calibrated model would show on the same "
        "number of images. The interval is that of the true error, so the value itself, which chance "
        "raises, can lie above it.",
    ),
    Measure(
        "ece_debiased",
        "Debiased ECE",
        False,
        "The same, less the part that comes from the limited number of images. Compare sets of "
        "different size by this one. Lower is better.",
    ),
    Measure(
        "nll",
        "NLL",
        False,
        "Negative log-likelihood: minus the logarithm of the probability given to the right class, "
        "averaged. It punishes confident mistakes hard. Lower is better.",
    ),
    Measure(
        "brier",
        "Brier score",
        False,
        "Squared distance between the probabilities and the truth, summed over classes, averaged over "
        "images. From 0 (perfect) to 2; lower is better.",
    ),
    Measure(
        "mean_confidence",
        "Mean confidence",
        True,
        "How sure the model is on average. Well above the accuracy: too sure. Well below: not sure enough.",
    ),
)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    set_name: str
    kind: Kind
    method: str
    calibrator: str
    series: int
    answers: Answers


def rows_of(group: Sequence[MeasuredRun]) -> list[Row]:
    """List what was measured about runs on the same data, set by set.

    Args:
        group: runs on the same model and data.

    Returns:
        The rows; where no run is the zero-shot model itself, its stored probabilities give a row per set.
    """
    names = list(dict.fromkeys(one.result.name for run in group for one in run.sets))
    return [row for name in names for row in _rows_of_set(group, name)]


def _rows_of_set(group: Sequence[MeasuredRun], name: str) -> list[Row]:
    rows: list[Row] = []
    with_zero_shot = any(not run.tuned for run in group)
    for series, run in enumerate(sorted(group, key=lambda run: run.tuned), start=0 if with_zero_shot else 1):
        measured = run.find(name)
        if measured is None:
            continue
        kind = measured.result.kind
        if not with_zero_shot and not rows and measured.zero_shot is not None:
            rows.append(Row(name, kind, ZERO_SHOT, UNCALIBRATED, 0, measured.zero_shot))
        for calibrator, answers in measured.calibrated.items():
            rows.append(Row(name, kind, run.run.title, calibrator, series, answers))
    return rows
