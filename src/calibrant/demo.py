"""The demo: four methods on the packaged images, each with and without temperature scaling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.calibrate import NONE, calibrate
from calibrant.explain import explain
from calibrant.measuring import measure
from calibrant.report import report
from calibrant.runs import Run
from calibrant.runs.opening import open_model
from calibrant.runs.resuming import AnotherRun
from calibrant.tune import tune

if TYPE_CHECKING:
    from calibrant.models.dual_encoder import DualEncoder

SHOTS = 16
METHODS = ("zero-shot", "ft", "flyp", "coop")
EXPLAINED = ("ft", "emoji")  # tunes the image tower, so that maps may change
SHIFTED = ("rendition", "sketch", "context", "hard", "corrupted", "resampled")
NEXT_STEPS = """What to try next
  Tune a larger model on your own images, one sub-folder per class (the weights are fetched once):
    calibrant tune ViT-B-32/laion2b_s34b_b79k folder:my-images --method coop --output runs/mine
    calibrant calibrate runs/mine
    calibrant report runs/mine
  See whether it is right for the right reason; people can judge where images have no masks:
    calibrant explain runs/mine --review 100
  Use it, also for classes it was not tuned on:
    calibrant classify runs/mine new-images --to answers.csv --add-classes "one more, another"
  See what else there is:
    calibrant list methods; calibrant list data; calibrant tune --help"""


@dataclass(frozen=True)
class Size:
    """How much the demo does.

    Args:
        scenes: of each evaluation set.
        overrides: settings that shorten each method's recipe.
        plan: what is tuned on, and what is measured besides its own test images.
        watched: validation images that are watched in tuning.
        explained: images whose answers are explained.
    """

    scenes: int
    overrides: dict[str, dict[str, Any]] = field(default_factory=dict)
    plan: dict[str, tuple[str, ...]] = field(default_factory=lambda: _plan(SHIFTED))
    watched: int = 50
    explained: int = 300


def _plan(shifted: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {"emoji": tuple(f"emoji/{name}" for name in shifted), "emoji/base": ("emoji/new",)}


# CoOp keeps the views of its recipe: of 8 views of each image only those that its few steps draw are computed
FULL = Size(
    scenes=1000,
    overrides={
        "ft": {"solver.steps": 24},
        "flyp": {"solver.steps": 24},
        "coop": {"solver.steps": 20},
    },
)
QUICK = Size(
    scenes=200,
    overrides={
        "ft": {"solver.steps": 10},
        "flyp": {"solver.steps": 10},
        "coop": {"solver.steps": 10},
    },
    plan=_plan(("sketch",)),
    watched=20,
    explained=40,
)


def demo(
    output: str | Path, *, quick: bool = False, model: str | DualEncoder = "tiny", progress: bool = True
) -> dict[str, Any]:
    """Tune, calibrate, predict, explain and report; what is there from an earlier call is not done again.

    A run of an earlier call that was made with other weights, images or settings is replaced.

    Args:
        output: the folder for the runs and the report.
        quick: fewer scenes and steps.
        model: the model to tune.
        progress: show progress bars on a terminal.

    Returns:
        ``tables`` (title to rows with the keys ``images``, ``method``, ``calibrator``, ``n`` and ``measures``),
        ``report`` (the page) and ``runs`` (their folders).

    Raises:
        InputError: if the folder holds something else in the place of a run.
    """
    size = QUICK if quick else FULL
    output = Path(output)
    encoder = open_model(model, offline=True)
    runs = []
    for data, others in size.plan.items():
        for method in METHODS:
            run = _tuned(encoder, data, method, output / f"{method}-{data.replace('/', '-')}", size, progress)
            for other in others:
                run.predict(other, offline=True, progress=progress)
            calibrate(run, offline=True)
            if (method, data) == EXPLAINED:
                explain(run, images=size.explained, offline=True, progress=progress)
            runs.append(run)
    page = report(runs, output / "report.html", command="calibrant demo --quick" if quick else "calibrant demo")
    tables = {
        "Tuned on all classes: images like the training ones, and shifted ones": list(_rows(runs[: len(METHODS)])),
        "Tuned on the base classes: base and new classes": list(_rows(runs[len(METHODS) :])),
    }
    return {"tables": tables, "report": page, "runs": [run.path for run in runs]}


def _tuned(encoder: DualEncoder, data: str, method: str, folder: Path, size: Size, progress: bool) -> Run:
    """Tune, or take the run of an earlier call if it would come out the same."""

    def tuned(*, resume: bool = False, overwrite: bool = False) -> Run:
        return tune(
            encoder,
            data,
            method,
            shots=None if method == "zero-shot" else SHOTS,
            overrides=size.overrides.get(method),
            data_options={"scenes": size.scenes},
            watch_images=size.watched,
            output=folder,
            offline=True,
            progress=progress,
            resume=resume,
            overwrite=overwrite,
        )

    try:
        return tuned(resume=True)
    except AnotherRun:
        return tuned(overwrite=True)


def _rows(runs: list[Run]) -> Iterator[dict[str, Any]]:
    """One row for every set, method and calibrator, sets together."""
    sets = list(
        dict.fromkeys(stored.about["data"] for stored in runs[0].predictions() if stored.about["split"] == "test")
    )
    own = runs[0].record["data"]["name"]
    for name in sorted(sets, key=lambda one: (one != own, one)):
        for run in runs:
            for result in measure(run.stored(name, "test"), {NONE: None, **run.calibrators()}):
                yield {
                    "images": name,
                    "method": run.method,
                    "calibrator": result["calibrator"],
                    "n": result["n"],
                    "measures": result["measures"],
                }
