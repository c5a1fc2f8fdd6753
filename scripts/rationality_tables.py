"""The tables of docs/rationality-on-emoji.md, from the cells that scripts/study_rationality.py keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.metrics import Estimate, paired_difference
from calibrant.metrics.bootstrap import percentiles, redraw, unit_index
from calibrant.rationality.cells import cell_table, measures_of
from compare_methods import BASELINE, PROTOCOLS, SHIFTED

Files = Mapping[str, Sequence[Path]]
PAPER = ("linear-probe", "flcp", "ft")
"""The methods of Wang et al.; others are beyond the paper."""

MAIN = "attention-gradient (last block)"
EXPLAINERS = (MAIN, "attention-gradient (all blocks)", "grad-eclip", "grad-cam", "occlusion")
REFERENCES = ("uniform", "centre")
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
WHERE: Mapping[str, Sequence[str]] = {"ID": PROTOCOLS["shift"][:1], "shifted": SHIFTED}
RESAMPLES = 1000
SHOWN = {
    "PT": "PT",
    "IR": "IR",
    "RW": "RW",
    "PT_minus_valid": "PT − P(valid)",
    "IR_minus_accuracy": "IR − accuracy",
}
"""Measures by their names in tables."""


@dataclass(frozen=True, eq=False)
class Scenes:
    """What is known of the scenes of one or several sets under one explainer.

    Args:
        correct: bool [S, N], whether the answer is right, for each of S seeds.
        mass: float64 [S, N], relevance mass; NaN where a map holds no evidence.
        drawing: [N], the unit of independence.
    """

    correct: Array
    mass: Float64
    drawing: Array

    def cells(self, threshold: float) -> Float64:
        """Lay scenes out so that sums over them are cells, mean over seeds: float64 [N, 2, 3], see `cell_table`."""
        tables = [cell_table(right, mass, threshold) for right, mass in zip(self.correct, self.mass, strict=True)]
        mean: Float64 = np.mean(tables, axis=0)
        return mean


def read(files: Sequence[Path], names: Sequence[str], explainer: str) -> Scenes:
    """Read what a method does on some sets; of a set explained in part that part, and the seeds explained like this."""
    correct, mass = [], []
    for file in files:
        with np.load(file) as cell:
            if f"{names[0]}:{explainer}" not in cell:
                continue
            held = {name: len(cell[f"{name}:{explainer}"]) for name in names}
            mass.append(np.concatenate([cell[f"{name}:{explainer}"] for name in names]))
            correct.append(np.concatenate([cell[f"{name}:correct"][: held[name]] for name in names]))
            drawing = np.concatenate([cell[f"{name}:drawing"][: held[name]] for name in names])
    return Scenes(np.array(correct, dtype=bool), np.array(mass), drawing)


def measured(scenes: Scenes, threshold: float = 0.5) -> dict[str, float]:
    """Measure one model on some scenes."""
    return {name: float(value) for name, value in measures_of(scenes.cells(threshold).sum(axis=0)).items()}


def changes(before: Scenes, after: Scenes, threshold: float = 0.5) -> dict[str, Estimate]:
    """Estimate by how much tuning changes each measure on the same scenes, with 95 % intervals by drawing."""
    both = np.stack([before.cells(threshold), after.cells(threshold)], axis=1)
    unit, _ = unit_index(before.drawing, len(both))
    table = both.reshape(len(both), -1)
    sums = np.vstack([table.sum(axis=0), redraw(table, unit, RESAMPLES, seed=0)]).reshape(-1, *both.shape[1:])
    first, second = measures_of(sums[:, 0]), measures_of(sums[:, 1])
    found = {}
    for name in SHOWN:
        difference = second[name] - first[name]
        ends = percentiles(difference[1:], 0.95) or (float("nan"), float("nan"))
        found[name] = Estimate(float(difference[0]), *ends)
    return found


def points(change: Estimate) -> str:
    """Show a change in percentage points."""
    if not change.known:
        return f"{100 * change.value:+.1f}"
    return f"{100 * change.value:+.1f} ({100 * change.low:+.1f} to {100 * change.high:+.1f})"


def rows_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]


def methods_table(files: Files, where: str) -> list[str]:
    """Write all measures of all methods under the main explainer, and what tuning changes."""
    names = WHERE[where]
    before, rows = read(files[BASELINE], names, MAIN), []
    for method, cells in files.items():
        scenes = read(cells, names, MAIN)
        value, change = measured(scenes), changes(before, scenes)
        cell = [f"{100 * value[name]:.1f}" for name in SHOWN]
        if method != BASELINE:
            cell = [f"{text}, {points(change[name])}" for text, name in zip(cell, SHOWN, strict=True)]
        rows.append([f"`{method}`", f"{value['accuracy']:.1%}", f"{value['valid']:.1%}", *cell])
    return rows_of(["method", "accuracy", "P(valid)", *SHOWN.values()], rows)


def sets_table(files: Files, measure: str) -> list[str]:
    """Write one measure of every method on every set."""
    names = PROTOCOLS["shift"]
    rows = [
        [f"`{method}`", *(f"{100 * measured(read(cells, [name], MAIN))[measure]:.1f}" for name in names)]
        for method, cells in files.items()
    ]
    return rows_of(["method", *(f"`{name}`" for name in names)], rows)


def explainers_table(files: Files) -> list[str]:
    """Write how much of the maps of the zero-shot model lies on the object, and how far that is above the centre."""
    rows = []
    for name in (*EXPLAINERS, *REFERENCES):
        row = [name]
        for names in (WHERE["ID"], ["emoji/hard"]):
            scenes, centre = (read(files[BASELINE], names, one) for one in (name, "centre"))
            mass, reference = scenes.mass[0], centre.mass[0][: len(scenes.mass[0])]
            known = np.isfinite(mass) & np.isfinite(reference)
            above = paired_difference(reference[known], mass[known], units=scenes.drawing[known])
            row += [f"{100 * np.mean(mass[known]):.1f}", "" if name == "centre" else points(above)]
            row += [f"{measured(scenes)['valid']:.1%}", str(int((~np.isfinite(mass)).sum()))]
        rows.append(row)
    columns = ["mass", "above the centre", "P(valid)", "no evidence"]
    return rows_of(["explainer", *(f"{where}: {one}" for where in ("ID", "`hard`") for one in columns)], rows)


def thresholds_table(files: Files, measure: str) -> list[str]:
    """Write what tuning changes in one measure, under each threshold of validity, on the set tuned on."""
    names, rows = WHERE["ID"], []
    before = read(files[BASELINE], names, MAIN)
    for method in [method for method in files if method != BASELINE]:
        after = read(files[method], names, MAIN)
        rows.append([f"`{method}`", *(points(changes(before, after, threshold)[measure]) for threshold in THRESHOLDS)])
    return rows_of(["method", *(f"{threshold}" for threshold in THRESHOLDS)], rows)


@dataclass(frozen=True)
class Claim:
    """Something the paper says of tuned models, as a measure that rises (1) or falls (-1) against zero-shot."""

    text: str
    measure: str
    sign: int


CLAIMS = (
    Claim("PT falls: fewer of the right answers rest on the object", "PT", -1),
    Claim("RW grows: more of all images are answered rightly without looking at the object", "RW", 1),
    Claim("IR rises: more of the answers that rest on the object are right", "IR", 1),
    Claim("beyond accuracy: IR rises by more than accuracy does", "IR_minus_accuracy", 1),
    Claim("beyond the maps: PT falls by more than P(valid) does", "PT_minus_valid", -1),
)


def verdict(found: Sequence[Estimate], sign: int) -> str:
    """Say whether a claim holds: for every method, the opposite for one at least, or neither can be said."""
    signs = [one.sign for one in found]
    if all(one == sign for one in signs):
        return "holds here"
    if any(one == -sign for one in signs):
        return "does not hold here"
    return "cannot be told"


def claims_table(files: Files) -> list[str]:
    """Hold every claim against the methods of the paper, under each explainer, on the set tuned on and under shift."""
    tuned = [method for method in PAPER if method in files]
    lines: list[str] = []
    for claim in CLAIMS:
        rows = []
        for where, names in WHERE.items():
            for explainer in EXPLAINERS:
                before = read(files[BASELINE], names, explainer)
                found = [changes(before, read(files[one], names, explainer))[claim.measure] for one in tuned]
                rows.append([where, explainer, *(points(one) for one in found), verdict(found, claim.sign)])
        rows += as_published_rows(files, claim, tuned)
        header = ["scenes", "explainer", *(f"`{one}`" for one in tuned), ""]
        lines += [f"**{claim.text}**", "", *rows_of(header, rows), ""]
    return lines


def as_published_rows(files: Files, claim: Claim, tuned: Sequence[str]) -> list[list[str]]:
    """Hold a claim against maps as released code makes them: all blocks for heads, the last one for class prompts."""
    rows = []
    for where, names in WHERE.items():
        before = read(files[BASELINE], names, EXPLAINERS[0])
        after = [read(files[one], names, EXPLAINERS[int(one != "flcp")]) for one in tuned]
        found = [changes(before, scenes)[claim.measure] for scenes in after]
        rows.append([where, "as released", *(points(one) for one in found), verdict(found, claim.sign)])
    return rows


def all_tables(files: Files) -> dict[str, list[str]]:
    """Write every table.

    Args:
        files: the cells of every method that was run, one per seed, the zero-shot model among them.

    Returns:
        The lines of each table by the mark of its place.
    """
    return {
        "explainers": explainers_table(files),
        "id": methods_table(files, "ID"),
        "shifted": methods_table(files, "shifted"),
        "sets-pt": sets_table(files, "PT"),
        "sets-ir": sets_table(files, "IR"),
        "thresholds-pt": thresholds_table(files, "PT"),
        "thresholds-ir": thresholds_table(files, "IR"),
        "claims": claims_table(files),
    }
