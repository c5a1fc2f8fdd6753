"""Compare every calibrator on every method, for the tables of docs/which-calibrator.md.

Reads the predictions that scripts/compare_methods.py keeps. Each calibrator is fitted as `calibrant calibrate` does it,
on the part of the validation scenes of the tuned classes that is meant for choosing, and used on every set of its
protocol; one that knows only the tuned classes refuses the others. Changes come with paired 95 % intervals by drawing.

A line of the log is one protocol, method and calibrator, or the sensitivity of DAC or CAC, with all sets. What is in
the log is not measured again, so the script can be stopped and started; methods without predictions are left out.

Example:
    python scripts/compare_calibrators.py run build/methods docs/which-calibrator.jsonl
    python scripts/compare_calibrators.py tables docs/which-calibrator.jsonl docs/which-calibrator.md
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import calibrant as cb
from calibrant.arrays import Array, Float64
from calibrant.calibrate import CHOICE, PART
from calibrant.calibration.contrast_aware import mean_distance
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics import Estimate, paired_difference
from calibrant.metrics.binning import Bins, assign, bin_edges, fill
from calibrant.metrics.bootstrap import bin_table, bins_of, percentiles, redraw, unit_index
from calibrant.metrics.calibration import error_of, plain_l1
from calibrant.metrics.noise_floor import floor_of
from calibrant.metrics.scores import Scores, sample_scores
from calibrator_tables import SETS, all_tables
from compare_methods import ADDED, PROTOCOLS, predictions_file, recipes, write_tables

BINS, RESAMPLES, SEED = 15, 1000, 0
CHAINS = (
    "dac+temperature",
    "cac+temperature",
    "zs-norm+temperature",
    "dac+zero-shot-temperature",
    "dac+multi-isotonic",
    "dac+density-ratio",
)
SENSITIVITIES = {
    "sensitivity of cac": cb.calibration.cac_sensitivity,
    "sensitivity of dac": cb.calibration.dac_sensitivity,
}
SLOW = ("matrix", "dirichlet", "best-of")
"""Two learn a number for every pair of classes, the last fits one of them six times."""
KEY = ("protocol", "method", "calibrator")
app = typer.Typer(help=__doc__)


@dataclass(frozen=True, eq=False)
class Measured:
    """What one calibrator makes of one or several sets, every set counting the same.

    Args:
        scores: of the samples of each set; the sets have equal size.
        drawings: of all samples, one set behind the other, [N].
    """

    scores: tuple[Scores, ...]
    drawings: Array

    @property
    def correct(self) -> Float64:
        """Whether each answer is right, [N]."""
        return np.concatenate([one.correct for one in self.scores]).astype(np.float64)

    @property
    def nll(self) -> Float64:
        """Negative log-likelihood of each label, [N]."""
        return np.concatenate([one.nll for one in self.scores])

    @property
    def gap(self) -> float:
        """Mean confidence minus accuracy."""
        return float(np.concatenate([one.confidence for one in self.scores]).mean() - self.correct.mean())

    @property
    def floor(self) -> float:
        """Mean over sets of the ECE that a calibrated model would have, if all samples were independent."""
        return float(np.mean([floor_of(one.confidence, BINS) for one in self.scores]))

    def ece(self, *, debias: bool = False) -> float:
        """Mean over sets of the calibration error."""
        edges = bin_edges(self.nll, BINS)
        filled = (fill(assign(one.confidence, edges), BINS, one.confidence, one.correct) for one in self.scores)
        return float(np.mean([error_of(bins, debias=debias) for bins in filled]))

    @cached_property
    def redrawn_ece(self) -> Float64:
        """Mean over sets of the calibration error in redrawn drawings, [R]; a drawing may be in several sets."""
        edges, sets = bin_edges(self.nll, BINS), len(self.scores)
        index = np.concatenate([at * BINS + assign(one.confidence, edges) for at, one in enumerate(self.scores)])
        confidence = np.concatenate([one.confidence for one in self.scores])
        unit, _ = unit_index(self.drawings, len(index))
        sums = bins_of(redraw(bin_table(index, sets * BINS, confidence, self.correct), unit, RESAMPLES, SEED))
        by_set = Bins(*(one.reshape(-1, sets, BINS) for one in (sums.count, sums.confidence, sums.correct)))
        return np.asarray(plain_l1(by_set).mean(axis=1))


def ece_change(before: Measured, after: Measured) -> Estimate:
    """Estimate by how much the mean ECE of several sets differs, as `ece_difference` does for one."""
    value, replicates = after.ece() - before.ece(), after.redrawn_ece - before.redrawn_ece
    # redrawing adds noise, which raises the smaller error more
    return Estimate(value, *(percentiles(replicates - replicates.mean() + value, 0.95) or (np.nan, np.nan)))


def row_of(before: Measured, after: Measured) -> dict[str, Any]:
    """Measure a calibrator against none; a likelihood of 0 is written as no value."""
    row: dict[str, Any] = {
        "ece": short(after.ece()),
        "ece_change": shown(ece_change(before, after)),
        "ece_debiased": short(after.ece(debias=True)),
        "floor": short(after.floor),
        "gap": short(after.gap),
    }
    if np.isfinite(after.nll).all():
        row["nll"] = short(float(after.nll.mean()))
        row["nll_change"] = shown(paired_difference(before.nll, after.nll, units=after.drawings))
    else:
        row["nll"] = None
    if not np.array_equal(before.correct, after.correct):
        row["accuracy_change"] = shown(paired_difference(before.correct, after.correct, units=after.drawings))
    return row


def short(value: float) -> float:
    """Keep four decimals, one more than is shown."""
    return round(float(value), 4)


def shown(estimate: Estimate) -> list[float]:
    """Write value, lower and upper end."""
    return [short(end) for end in (estimate.value, estimate.low, estimate.high)]


class Subject:
    """The predictions of one method under one protocol, read when they are needed.

    Args:
        folder: where scripts/compare_methods.py keeps them.
        protocol: of `PROTOCOLS`.
        method: a recipe.
    """

    def __init__(self, folder: Path, protocol: str, method: str) -> None:
        self.folder, self.protocol, self.method = folder, protocol, method

    @property
    def complete(self) -> bool:
        """Whether all its predictions are there."""
        tests = [self._file(name, "test") for name in PROTOCOLS[self.protocol]]
        return all(file.exists() for file in (*tests, self._file(PROTOCOLS[self.protocol][0], "validation")))

    @cached_property
    def validation(self) -> cb.Predictions:
        """What calibrators are fitted on."""
        whole = cb.Predictions.load(self._file(PROTOCOLS[self.protocol][0], "validation"))
        return whole.subset(whole.columns[PART] == CHOICE)

    @cached_property
    def tests(self) -> dict[str, cb.Predictions]:
        """What they are used on, by the name of the set."""
        return {name: cb.Predictions.load(self._file(name, "test")) for name in PROTOCOLS[self.protocol]}

    @cached_property
    def uncalibrated(self) -> dict[str, Measured]:
        """The sets as they are, by their names in the tables."""
        return {name: self.measured(cb.Predictions.probabilities, sets) for name, sets in self.sets().items()}

    def sets(self) -> dict[str, Sequence[str]]:
        """The sets of the protocol that are read together, by their names in the tables."""
        return {name: sets for name, (protocol, sets) in SETS.items() if protocol == self.protocol}

    def measured(self, probabilities: Callable[[cb.Predictions], Float64], sets: Sequence[str]) -> Measured:
        """Score what a calibrator makes of sets."""
        tests = [self.tests[name] for name in sets]
        scores = tuple(sample_scores(probabilities(one), one.labels) for one in tests)
        return Measured(scores, np.concatenate([one.columns["drawing"] for one in tests]))

    def _file(self, name: str, split: str) -> Path:
        return predictions_file(self.folder, self.protocol, self.method, name, split)


def rows_of(subject: Subject, name: str) -> dict[str, dict[str, Any]]:
    """Measure a calibrator, or a sensitivity, on every set of the protocol."""
    if name in SENSITIVITIES:
        single = {one: sets[0] for one, sets in subject.sets().items() if len(sets) == 1}
        return {one: sensitivity(subject.tests[test], SENSITIVITIES[name]) for one, test in single.items()}
    try:
        fitted = cb.calibration.calibrator(name).fit(subject.validation)
    except InputError as reason:
        return {one: {"refused": in_short(reason)} for one in subject.sets()}
    rows = {}
    for one, sets in subject.sets().items():
        try:
            rows[one] = row_of(subject.uncalibrated[one], subject.measured(fitted, sets))
        except InputError as reason:
            rows[one] = {"refused": in_short(reason)}
    return rows


def sensitivity(test: cb.Predictions, errors: Callable[[cb.Predictions], list[dict[str, Any]]]) -> dict[str, Any]:
    """Measure ECE for every setting, which is written as its numbers, and how far tuning has moved the logits."""
    try:
        found = [row for row in errors(test) if row["part"] == "all"]
    except InputError as reason:
        return {"refused": in_short(reason)}
    apart = mean_distance(test, test.zero_shot_logits).mean()
    of_setting = {" ".join(f"{row[key]:g}" for key in ("k", "alpha") if key in row): short(row["ece"]) for row in found}
    return {"before": short(found[0]["ece_before"]), "distance": short(apart), "ece": of_setting}


def in_short(reason: InputError) -> str:
    """Leave the names of calibrator and classes out of a refusal."""
    said = str(reason).partition(" (")[0]
    return said.partition("' ")[2] or said


def calibrators() -> list[str]:
    """Name everything that is compared."""
    return [*cb.calibration.CALIBRATORS, *CHAINS, *SENSITIVITIES]


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Where scripts/compare_methods.py keeps its predictions.")],
    log: Annotated[Path, typer.Argument(help="JSON lines; added to.")],
    method: Annotated[list[str] | None, typer.Option(help="Only these methods.")] = None,
    calibrator: Annotated[list[str] | None, typer.Option(help="Only these calibrators.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="Only these protocols.")] = None,
    slow: Annotated[bool, typer.Option(help=f"Whether to fit {', '.join(SLOW)} too, behind all others.")] = True,
) -> None:
    """Measure what is missing in LOG."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    done = {tuple(row[name] for name in KEY) for row in map(json.loads, lines)}
    names = calibrator or calibrators()
    quick = [name for name in names if name not in SLOW]
    warnings.simplefilter("ignore", CalibrantWarning)
    for chosen in (quick, [name for name in names if name in SLOW] if slow else []):
        for one in method or [*recipes(), *ADDED]:
            for under in protocol or PROTOCOLS:
                subject = Subject(folder, under, one)
                missing = [name for name in chosen if (under, one, name) not in done]
                if missing and subject.complete:
                    seconds = measure(subject, missing, log)
                    print(under, one, f"{len(missing)} calibrators, {seconds:.0f} s of one processor", flush=True)


def measure(subject: Subject, names: Sequence[str], log: Path) -> float:
    """Add the lines of a method, and tell how many seconds of one processor that took."""
    began = time.process_time()
    for name in names:
        head = dict(zip(KEY, (subject.protocol, subject.method, name), strict=True))
        line = json.dumps({**head, "sets": rows_of(subject, name)}, separators=(",", ":"))
        with log.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    return time.process_time() - began


@app.command()
def tables(
    log: Annotated[Path, typer.Argument(help="What `run` has measured.")],
    page: Annotated[Path, typer.Argument(help="The Markdown page whose tables are written between its marks.")],
) -> None:
    """Write the tables."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    write_tables(page, all_tables(lines, calibrators(), [*recipes(), *ADDED]))


if __name__ == "__main__":
    app()
