"""Choose one setting of every `tiny` profile with equal effort: four trials each, by NLL on `emoji` validation.

A method's own setting is its learning rate, or what stands in its place in `SETTINGS`. The first trial is the profile
as it stands, the second and third are a factor of three above and below; the last goes on beyond the best where it lies
at an end, and between the best and its better neighbour where it does not. Training is at 16 shots, with seed 1; the
same validation scenes judge every trial. Nothing else is looked at.

Trials that are in the log already are not run again, so that the script can be stopped and started.

Example:
    python scripts/tune_profiles.py docs/tiny-profiles.jsonl
    python scripts/tune_profiles.py docs/tiny-profiles.jsonl --method coop --method kgcoop
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Annotated, Any

import typer

import calibrant as cb
from calibrant.arrays import softmax
from calibrant.runs.opening import shots_of
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.recipe import list_recipes
from calibrant.tuning.tuned_model import TunedModel
from judging import Judge

SHOTS, SEED, TRIALS, SCENES, FACTOR = 16, 1, 4, 1000, 3.0
SETTINGS = {
    "linear-probe": "stages.0.solver.inverse_strength",
    "lp-ft": "stages.1.solver.learning_rate",
    "tip-adapter": "stages.0.parameterization.beta",
    "tip-adapter-f": "stages.1.solver.learning_rate",
}
LEARNING_RATE = "stages.0.solver.learning_rate"
# Model Stock averages runs of `ft`, and trains as that does
NOTHING_TO_CHOOSE = ("zero-shot", "model-stock")


def next_value(tried: dict[float, float]) -> float:
    """Choose what to try next.

    Args:
        tried: value to NLL; the first is the profile as it stands.

    Returns:
        A value that was not tried.
    """
    start, ordered = next(iter(tried)), sorted(tried)
    if len(tried) < 3:
        return start * FACTOR if len(tried) == 1 else start / FACTOR
    best = min(tried, key=lambda value: tried[value])
    at = ordered.index(best)
    if at == len(ordered) - 1:
        return best * FACTOR
    if at == 0:
        return best / FACTOR
    below, above = ordered[at - 1], ordered[at + 1]
    # the side of the better neighbour first
    return math.sqrt(best * (above if tried[above] < tried[below] else below))


def setting_of(method: str) -> tuple[str, float]:
    """Find what is chosen for a method, and its value in the `tiny` profile."""
    place = SETTINGS.get(method, LEARNING_RATE)
    _, stage, part, key = place.split(".")
    return place, float(getattr(load_recipe(method, profile="tiny").stages[int(stage)], part)[key])


def measured(judge: Judge, model: TunedModel) -> dict[str, float]:
    """Measure NLL, accuracy and ECE on the validation scenes."""
    probs, labels = softmax(judge.logits(model)), judge.chosen.labels
    return {
        "nll": cb.metrics.nll(probs, labels),
        "accuracy": cb.metrics.accuracy(probs, labels),
        "ece": cb.metrics.calibration_error(probs, labels),
    }


def main(
    log: Annotated[Path, typer.Argument(help="JSON lines, one a trial; added to.")],
    method: Annotated[list[str] | None, typer.Option(help="Only these methods.")] = None,
    trials: Annotated[int, typer.Option(help="Trials a method.")] = TRIALS,
) -> None:
    """Run the trials that are missing in LOG, and print the best of every method."""
    encoder, data = cb.load_model("tiny", offline=True), cb.load_data("emoji", scenes=SCENES)
    train, judge = shots_of(data, SHOTS, SEED), Judge(data.split("validation"))
    names = method or [row["name"] for row in list_recipes() if row["name"] not in NOTHING_TO_CHOOSE]
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for name in names:
        place, start = setting_of(name)
        tried = {row["value"]: row["nll"] for row in rows if row["method"] == name}
        while len(tried) < trials:
            value = float(f"{next_value(tried) if tried else start:.3g}")
            began = time.monotonic()
            recipe = load_recipe(name, {place: value}, profile="tiny")
            row: dict[str, Any] = {"method": name, "setting": place, "value": value}
            row |= measured(judge, fit(encoder, train, recipe, seed=SEED, progress=False))
            row["seconds"] = round(time.monotonic() - began, 1)
            tried[value] = row["nll"]
            with log.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
        best = min(tried, key=lambda value: tried[value])
        print(f"{name}: {place} = {best:g} (NLL {tried[best]:.3f})", flush=True)


if __name__ == "__main__":
    typer.run(main)
