"""Compare every method on `emoji` under two protocols, with three seeds, for the tables of docs/methods-on-emoji.md.

`shift`: tuned on `emoji` at 16 shots, measured on its test scenes and on every shifted set. `base-to-new`: tuned on
`emoji/base` at 16 shots, measured on the test scenes of the base and of the new classes, each among its own names, and
on both among all names. The settings are those of the `tiny` profiles; a method may name its view policy behind a
tilde. A cell is one protocol, method and seed; cells that are done are not done again, so that the script can be
stopped and started. What the tables need of every scene is kept in a folder; of the first seed also the predictions,
for scripts/compare_calibrators.py.

Example:
    python scripts/compare_methods.py run build/methods
    python scripts/compare_methods.py run build/methods --method coop --method coop+dor --method coop~live
    python scripts/compare_methods.py tables build/methods docs/methods-on-emoji.md
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

import calibrant as cb
from calibrant.arrays import Array, Float64
from calibrant.data.evaluation_set import EvaluationSet
from calibrant.metrics import Estimate, paired_difference
from calibrant.metrics.reliability import reliability_of
from calibrant.metrics.scores import sample_scores
from calibrant.predict import predict
from calibrant.runs.opening import shots_of
from calibrant.storage import atomic_write
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.recipe import list_recipes

SHOTS, SEEDS = 16, (1, 2, 3)
SHIFTED = tuple(f"emoji/{name}" for name in ("resampled", "context", "rendition", "sketch", "hard", "corrupted"))
# the set tuned on comes first; its validation scenes are for calibrators
PROTOCOLS = {"base-to-new": ("emoji/base", "emoji/new", "emoji"), "shift": ("emoji", *SHIFTED)}
# the shifted sets are read together
SCENES = {name: 500 if name in SHIFTED else 1000 for sets in PROTOCOLS.values() for name in sets}
BASELINE = "zero-shot"
ADDED = ("coop+dor", "cocoop+dor", "kgcoop+dor", "maple+dor", "promptsrc+dor", "dept+dor", "tcp+dor", "carot+dor")
VIEWS = tuple(f"{method}~{views}" for method in ("coop", "kgcoop", "clip-adapter") for views in ("live", "1"))
app = typer.Typer(help=__doc__)


def recipes() -> list[str]:
    """Name every method, the zero-shot model first."""
    return [BASELINE, *(row["name"] for row in list_recipes() if row["name"] != BASELINE)]


def cell_file(folder: Path, protocol: str, method: str, seed: int) -> Path:
    """Name the file of a cell."""
    return folder / protocol / f"{method}-{seed}.npz"


def predictions_file(folder: Path, protocol: str, method: str, name: str, split: str) -> Path:
    """Name the file of the predictions that a method, tuned with the first seed, makes for one set."""
    return folder / protocol / method / f"{name.replace('/', '-')}-{split}.safetensors"


def tuned(protocol: str, method: str, seed: int) -> tuple[cb.tuning.TunedModel, float]:
    """Tune one model, and tell how many seconds it took."""
    name, _, views = method.partition("~")
    settings: dict[str, Any] = {"stages.0.solver.views": views if views == "live" else int(views)} if views else {}
    first = PROTOCOLS[protocol][0]
    train = shots_of(cb.load_data(first, scenes=SCENES[first]), SHOTS, seed)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        if name == "model-stock":
            settings["averaging.model_stock.runs"] = list(fine_tuned(train, seed, Path(folder)))
        recipe = load_recipe(name, settings, profile="tiny")
        model = fit(cb.load_model("tiny", offline=True), train, recipe, seed=seed, progress=False)
    return model, time.monotonic() - began


def fine_tuned(train: EvaluationSet, seed: int, folder: Path) -> Iterator[str]:
    """Fine-tune with two more training seeds, since Model Stock merges three models; give their files."""
    for more in (10 * seed + 1, 10 * seed + 2):
        recipe = load_recipe("ft", profile="tiny")
        model = fit(cb.load_model("tiny", offline=True), train, recipe, seed=more, progress=False)
        model.save(file := folder / f"{more}.safetensors")
        yield str(file)


def run_cell(folder: Path, protocol: str, method: str, seed: int) -> float:
    """Tune one model, and keep what it says of every scene of every set."""
    model, seconds = tuned(protocol, method, seed)
    kept: dict[str, Array] = {}
    for name in PROTOCOLS[protocol]:
        data = cb.load_data(name, scenes=SCENES[name])
        if seed == SEEDS[0] and name == PROTOCOLS[protocol][0]:
            predict(model, data, "validation").save(predictions_file(folder, protocol, method, name, "validation"))
        predictions = predict(model, data)
        if seed == SEEDS[0]:
            predictions.save(predictions_file(folder, protocol, method, name, "test"))
        scores = sample_scores(predictions.probabilities(), predictions.labels)
        for key in ("confidence", "correct", "nll", "brier"):
            kept[f"{name}:{key}"] = getattr(scores, key)
        kept[f"{name}:drawing"] = np.asarray(predictions.columns["drawing"])
    with atomic_write(cell_file(folder, protocol, method, seed)) as path, path.open("wb") as stream:
        np.savez_compressed(stream, seconds=seconds, **kept)
    return seconds


def cells(methods: Sequence[str], protocols: Sequence[str]) -> Iterator[tuple[str, str, int]]:
    """List all cells, the first seed of every method first."""
    for seed in SEEDS:
        for protocol in protocols:
            for method in methods:
                # nothing is drawn for the model before tuning; how views are drawn is compared under one protocol
                again = method == BASELINE and seed != SEEDS[0]
                if not again and not ("~" in method and protocol == "shift"):
                    yield protocol, method, seed


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Where the cells are kept.")],
    method: Annotated[list[str] | None, typer.Option(help="Only these methods.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="Only these protocols.")] = None,
    part: Annotated[tuple[int, int], typer.Option(help="Which of how many processes this is.")] = (0, 1),
) -> None:
    """Run the cells that are missing, the first seed of all methods first."""
    methods = method or [*recipes(), *ADDED, *VIEWS]
    mine, processes = part
    for at, (chosen, one, seed) in enumerate(cells(methods, protocol or list(PROTOCOLS))):
        if at % processes == mine and not cell_file(folder, chosen, one, seed).exists():
            print(chosen, one, seed, f"{run_cell(folder, chosen, one, seed):.0f} s", flush=True)


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


def table(folder: Path, protocol: str, columns: dict[str, Sequence[str]], methods: Sequence[str]) -> list[str]:
    """Write the table of a protocol, a row for every method that was run, over the seeds that there are."""
    first, second = columns
    lines = [
        f"| method | seeds | {first} accuracy | gain | {second} accuracy | gain | {first} ECE | {second} ECE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        seeds = sum(cell_file(folder, protocol, method, seed).exists() for seed in SEEDS)
        if not seeds:
            continue
        one, two = (read_cell(folder, protocol, method, names) for names in columns.values())
        lines.append(
            f"| {in_words(method)} | {seeds} | {one.accuracy:.1%} | {one.shown_gain()} "
            f"| {two.accuracy:.1%} | {two.shown_gain()} | {one.shown_ece()} | {two.shown_ece()} |"
        )
    return lines


def in_words(method: str) -> str:
    """Name a method and its view policy."""
    name, _, views = method.partition("~")
    return f"`{name}`" + (f", {views} view{'' if views == '1' else 's'}" if views else "")


@app.command()
def tables(
    folder: Annotated[Path, typer.Argument(help="Where the cells are kept.")],
    page: Annotated[Path, typer.Argument(help="The Markdown page whose tables are written between its marks.")],
) -> None:
    """Write the tables."""
    halves, shift = {"base": ("emoji/base",), "new": ("emoji/new",)}, {"ID": ("emoji",), "OOD": SHIFTED}
    # the eight views of the profile come between live and one
    views = [views for live, one in zip(VIEWS[::2], VIEWS[1::2], strict=True)
             for views in (live, live.partition("~")[0], one)]  # fmt: skip
    write_tables(
        page,
        {
            "base-to-new": table(folder, "base-to-new", halves, [*recipes(), *ADDED]),
            "shift": table(folder, "shift", shift, [*recipes(), *ADDED]),
            "views": table(folder, "base-to-new", halves, views),
        },
    )


def write_tables(page: Path, tables: Mapping[str, Sequence[str]]) -> None:
    """Write tables into a Markdown page.

    Args:
        page: the page; what stands between ``<!-- MARK -->`` and ``<!-- /MARK -->`` is replaced.
        tables: mark to lines.
    """
    text = page.read_text(encoding="utf-8")
    for mark, lines in tables.items():
        place = re.compile(rf"(<!-- {mark} -->\n).*(<!-- /{mark} -->)", re.DOTALL)
        body = "\n".join(["", *lines, "", ""])
        text, found = place.subn(lambda match, body=body: match[1] + body + match[2], text)
        if not found:
            raise typer.BadParameter(f"{page} has no mark <!-- {mark} -->")
    with atomic_write(page) as path:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    app()
