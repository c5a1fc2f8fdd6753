"""Compare every method on `emoji` under two protocols, with three seeds, for the tables of docs/methods-on-emoji.md.

`shift`: tuned on `emoji` at 16 shots, measured on its test scenes and on every shifted set. `base-to-new`: tuned on
`emoji/base` at 16 shots, measured on the test scenes of the base and of the new classes, each among its own names. The
settings are those of the `tiny` profiles. A cell is one protocol, method and seed; cells that are done are not done
again, so that the script can be stopped and started. What the tables need of every scene is kept in a folder.

Example:
    python scripts/compare_methods.py run build/methods
    python scripts/compare_methods.py run build/methods --method coop --method coop+dor
    python scripts/compare_methods.py tables build/methods docs/methods-on-emoji.md
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import calibrant as cb
from calibrant.arrays import Array, Float64, softmax
from calibrant.metrics import Estimate, paired_difference
from calibrant.metrics.reliability import reliability_of
from calibrant.metrics.scores import sample_scores
from calibrant.opening import shots_of
from calibrant.storage import atomic_write
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.recipe import list_recipes
from judging import Judge

SHOTS, SEEDS, SCENES = 16, (1, 2, 3), 1000
PROTOCOLS = {
    "base-to-new": {"data": "emoji/base", "sets": ("emoji/base", "emoji/new")},
    "shift": {
        "data": "emoji",
        "sets": ("emoji", *(f"emoji/{name}" for name in
                            ("resampled", "context", "rendition", "sketch", "hard", "corrupted"))),
    },
}  # fmt: skip
BASELINE = "zero-shot"
ADDED = ("coop+dor", "cocoop+dor", "kgcoop+dor", "maple+dor", "promptsrc+dor", "dept+dor", "tcp+dor", "carot+dor")
app = typer.Typer(help=__doc__)


def cell_file(folder: Path, protocol: str, method: str, seed: int) -> Path:
    """Name the file of a cell."""
    return folder / protocol / f"{method}-{seed}.npz"


def run_cell(file: Path, protocol: str, method: str, seed: int, judges: dict[str, Judge]) -> None:
    """Tune one model, score every scene of every set, and keep the scores."""
    encoder, plan = cb.load_model("tiny", offline=True), PROTOCOLS[protocol]
    train = shots_of(cb.load_data(plan["data"], scenes=SCENES), SHOTS, seed)
    began = time.monotonic()
    model = fit(encoder, train, load_recipe(method, profile="tiny"), seed=seed, progress=False)
    seconds, kept = time.monotonic() - began, {}
    for name in plan["sets"]:
        judge = judges.setdefault(name, Judge(cb.load_data(name, scenes=SCENES).split("test")))
        scores = sample_scores(softmax(judge.logits(model)), judge.chosen.labels)
        for key in ("confidence", "correct", "nll", "brier"):
            kept[f"{name}:{key}"] = getattr(scores, key)
        kept[f"{name}:drawing"] = np.asarray(judge.chosen.columns["drawing"])
    with atomic_write(file) as path, path.open("wb") as stream:
        np.savez_compressed(stream, seconds=seconds, **kept)


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Where the cells are kept.")],
    method: Annotated[list[str] | None, typer.Option(help="Only these methods.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="Only these protocols.")] = None,
) -> None:
    """Run the cells that are missing, the first seed of all methods first."""
    methods = method or [BASELINE, *(row["name"] for row in list_recipes() if row["name"] != BASELINE), *ADDED]
    judges: dict[str, Judge] = {}
    for seed in SEEDS:
        for chosen in protocol or PROTOCOLS:
            for one in methods:
                file = cell_file(folder, chosen, one, seed)
                # nothing is drawn for the model before tuning
                if file.exists() or (one == BASELINE and seed != SEEDS[0]):
                    continue
                run_cell(file, chosen, one, seed, judges)
                print(chosen, one, seed, f"{np.load(file)['seconds']:.0f} s", flush=True)


@dataclass(frozen=True)
class Cell:
    """One method on one set.

    Args:
        accuracy: mean over seeds.
        gain: accuracy minus that of the zero-shot model, with its interval by drawing; None for the zero-shot model.
        ece: of every seed.
        confidence: mean over seeds and scenes.
    """

    accuracy: float
    gain: Estimate | None
    ece: tuple[float, ...]
    confidence: float

    def shown_ece(self) -> str:
        """Show the mean over seeds and how far they lie apart."""
        if len(self.ece) == 1:
            return f"{self.ece[0]:.3f}"
        return f"{np.mean(self.ece):.3f} ({min(self.ece):.3f} to {max(self.ece):.3f})"

    def shown_gain(self) -> str:
        """Show the gain in points of accuracy."""
        if self.gain is None:
            return ""
        return f"{100 * self.gain.value:+.1f} ({100 * self.gain.low:+.1f} to {100 * self.gain.high:+.1f})"


def read_cell(folder: Path, protocol: str, method: str, names: Sequence[str]) -> Cell:
    """Measure a method on one set, or on several as the mean over them, every set counting the same.

    Args:
        folder: where the cells are kept.
        protocol: of `PROTOCOLS`.
        method: a recipe.
        names: of sets of equal size.

    Returns:
        The measures.
    """
    files = [file for seed in SEEDS if (file := cell_file(folder, protocol, method, seed)).exists()]
    correct, ece, confidence, drawings = [], [], [], []
    for file in files:
        with np.load(file) as cell:
            correct.append(np.concatenate([cell[f"{name}:correct"] for name in names]))
            confidence.append(np.mean([cell[f"{name}:confidence"].mean() for name in names]))
            ece.append(float(np.mean([error(cell[f"{name}:confidence"], cell[f"{name}:correct"]) for name in names])))
            drawings = np.concatenate([cell[f"{name}:drawing"] for name in names])
    gain, right = None, np.mean(correct, axis=0)
    if method != BASELINE:
        with np.load(cell_file(folder, protocol, BASELINE, SEEDS[0])) as cell:
            before = np.concatenate([cell[f"{name}:correct"] for name in names])
        gain = paired_difference(before, right, units=drawings)
    return Cell(float(right.mean()), gain, tuple(ece), float(np.mean(confidence)))


def error(confidence: Float64, correct: Array) -> float:
    """Compute the ECE in 15 bins of equal width."""
    curve = reliability_of(confidence, correct)
    held = curve.count > 0
    gap = np.abs(curve.accuracy - curve.confidence)[held]
    return float((curve.count[held] * gap).sum() / curve.count.sum())


def table(folder: Path, protocol: str, columns: dict[str, Sequence[str]]) -> list[str]:
    """Write the table of a protocol, a row for every method that has all seeds."""
    first, second = columns
    lines = [
        f"| method | {first} accuracy | gain | {second} accuracy | gain | {first} ECE | {second} ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in sorted({file.stem.rpartition("-")[0] for file in (folder / protocol).glob("*.npz")}):
        seeds = SEEDS[:1] if method == BASELINE else SEEDS
        if not all(cell_file(folder, protocol, method, seed).exists() for seed in seeds):
            continue
        one, two = (read_cell(folder, protocol, method, names) for names in columns.values())
        lines.append(
            f"| `{method}` | {one.accuracy:.1%} | {one.shown_gain()} | {two.accuracy:.1%} | {two.shown_gain()} "
            f"| {one.shown_ece()} | {two.shown_ece()} |"
        )
    return lines


@app.command()
def tables(
    folder: Annotated[Path, typer.Argument(help="Where the cells are kept.")],
    page: Annotated[Path, typer.Argument(help="The Markdown page whose tables are written between its marks.")],
) -> None:
    """Write the tables."""
    text = page.read_text(encoding="utf-8")
    shifted = PROTOCOLS["shift"]["sets"][1:]
    for protocol, columns in {
        "base-to-new": {"base": ("emoji/base",), "new": ("emoji/new",)},
        "shift": {"ID": ("emoji",), "OOD": shifted},
    }.items():
        mark = re.compile(rf"(<!-- {protocol} -->\n).*(<!-- /{protocol} -->)", re.DOTALL)
        body = "\n".join(["", *table(folder, protocol, columns), "", ""])
        text, found = mark.subn(lambda match, body=body: match[1] + body + match[2], text)
        if not found:
            raise typer.BadParameter(f"{page} has no mark <!-- {protocol} -->")
    with atomic_write(page) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    app()
