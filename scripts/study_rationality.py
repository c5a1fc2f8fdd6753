"""Study on `emoji` whether tuned models are right for the right reason, for the tables of docs/rationality-on-emoji.md.

The methods of Wang et al. (AAAI 2025: zero-shot, linear probe, FLCP, full tuning), and CoOp, MaPLe and CaRot beyond
them, are tuned as in scripts/compare_methods.py under its protocol `shift`: on `emoji` at 16 shots with the settings of
the `tiny` profiles. Test scenes and every shifted set are explained for the label, by the logit with which the model
itself answers. A cell is one method and seed; cells that are done are not done again, so that the script can be stopped
and started.

Example:
    python scripts/study_rationality.py run build/rationality
    python scripts/study_rationality.py run build/rationality --method ft --explainer "grad-cam"
    python scripts/study_rationality.py tables build/rationality docs/rationality-on-emoji.md
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer

import calibrant as cb
from calibrant.arrays import Array, Float64
from calibrant.data.evaluation_set import EvaluationSet
from calibrant.metrics.scores import sample_scores
from calibrant.predict import predict
from calibrant.rationality import relevance_mass, resized
from calibrant.rationality.explainers.registry import explainer
from calibrant.storage import atomic_write
from calibrant.tuning import TunedModel
from compare_methods import BASELINE, PROTOCOLS, SCENES, SEEDS, tuned, write_tables
from rationality_tables import all_tables

PROTOCOL = "shift"
METHODS = (BASELINE, "linear-probe", "flcp", "ft", "coop", "maple", "carot")
SUBSET = 100  # scenes of each set that are explained by hundreds of forward passes
app = typer.Typer(help=__doc__)


@dataclass(frozen=True)
class Explained:
    """One way of making maps.

    Args:
        name: of the explainer.
        layers: which attention layers it reads.
        parameters: of the explainer.
        scenes: how many scenes of each set are explained; None for all.
        seeds: models of which seeds are explained so.
    """

    name: str
    layers: Literal["last", "all"] = "last"
    parameters: dict[str, Any] = field(default_factory=dict)
    scenes: int | None = None
    seeds: Sequence[int] = SEEDS


EXPLAINED = {
    "attention-gradient (last block)": Explained("attention-gradient"),
    "attention-gradient (all blocks)": Explained("attention-gradient", layers="all"),
    "grad-eclip": Explained("grad-eclip"),
    "grad-cam": Explained("grad-cam"),
    "occlusion": Explained("occlusion", parameters={"window": 16, "stride": 8}, scenes=SUBSET, seeds=SEEDS[:1]),
    "uniform": Explained("uniform"),
    "centre": Explained("centre"),
}


def cell_file(folder: Path, method: str, seed: int) -> Path:
    """Name the file of a cell."""
    return folder / f"{method}-{seed}.npz"


def masses(model: TunedModel, data: EvaluationSet, way: Explained) -> Float64:
    """Give the relevance mass of every scene, or of the first ones: the share of its map that lies on the object.

    Args:
        model: a tuned model.
        data: N scenes with masks of the size that the model reads.
        way: how they are explained.

    Returns:
        float64, for the first `way.scenes` scenes or all N; NaN where a map holds no evidence.
    """
    chosen = data.subset(np.arange(len(data) if way.scenes is None else min(way.scenes, len(data))))
    images = [np.asarray(chosen.images[at]) for at in range(len(chosen))]
    masks = np.stack([np.asarray(chosen.masks[at]) for at in range(len(chosen))])
    maps = explainer(way.name, **way.parameters).explain(
        model, images, chosen.labels, classes=chosen.classes, ids=chosen.ids, score="head", layers=way.layers
    )
    return relevance_mass(resized(maps.maps, masks.shape[1:]), masks)


def measure_set(model: TunedModel, name: str, ways: Sequence[str], scenes: int | None) -> dict[str, Array]:
    """Predict and explain one set."""
    data = cb.load_data(name, scenes=scenes or SCENES[name]).split("test")
    predictions = predict(model, data)
    scores = sample_scores(predictions.probabilities(), predictions.labels)
    kept = {
        "correct": scores.correct,
        "confidence": scores.confidence,
        "area": np.asarray(data.columns["object_area"]),
        "drawing": np.asarray(data.columns["drawing"]),
    }
    return {**kept, **{way: masses(model, data, EXPLAINED[way]) for way in ways}}


def run_cell(folder: Path, method: str, seed: int, ways: Sequence[str], scenes: int | None) -> None:
    """Tune one model, and keep the relevance mass of every scene of every set under the explainers still missing."""
    file = cell_file(folder, method, seed)
    kept: dict[str, Array] = {}
    if file.exists():
        with np.load(file) as cell:
            kept = dict(cell)
    asked = [way for way in ways if seed in EXPLAINED[way].seeds]
    missing = [way for way in asked if f"{PROTOCOLS[PROTOCOL][-1]}:{way}" not in kept]
    if not missing:
        return
    began = time.monotonic()
    model, _ = tuned(PROTOCOL, method, seed)
    for name in PROTOCOLS[PROTOCOL]:
        kept |= {f"{name}:{key}": value for key, value in measure_set(model, name, missing, scenes).items()}
    with atomic_write(file) as path, path.open("wb") as stream:
        np.savez_compressed(stream, **kept)
    print(method, seed, f"{time.monotonic() - began:.0f} s", flush=True)


def cells(methods: Sequence[str]) -> Iterator[tuple[str, int]]:
    """List all cells, the first seed of every method first; nothing is drawn for the model before tuning."""
    for seed in SEEDS:
        for method in methods:
            if method != BASELINE or seed == SEEDS[0]:
                yield method, seed


@app.command()
def run(
    folder: Annotated[Path, typer.Argument(help="Where the cells are kept.")],
    method: Annotated[list[str] | None, typer.Option(help="Only these methods.")] = None,
    explainer: Annotated[list[str] | None, typer.Option(help="Only these explainers.")] = None,
    part: Annotated[tuple[int, int], typer.Option(help="Which of how many processes this is.")] = (0, 1),
    scenes: Annotated[
        int | None, typer.Option(help="So many scenes per set only, to try it in a folder of its own.")
    ] = None,
) -> None:
    """Run the cells that are missing, the first seed of all methods first."""
    mine, processes = part
    for at, (chosen, seed) in enumerate(cells(method or METHODS)):
        if at % processes == mine:
            run_cell(folder, chosen, seed, explainer or list(EXPLAINED), scenes)


@app.command()
def tables(
    folder: Annotated[Path, typer.Argument(help="Where the cells are kept.")],
    page: Annotated[Path, typer.Argument(help="The Markdown page whose tables are written between its marks.")],
) -> None:
    """Write the tables."""
    files = {method: [cell_file(folder, method, seed) for seed in SEEDS] for method in METHODS}
    there = {method: [file for file in cells if file.exists()] for method, cells in files.items()}
    write_tables(page, all_tables({method: cells for method, cells in there.items() if cells}))


if __name__ == "__main__":
    app()
