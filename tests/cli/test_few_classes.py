"""Contrastive methods on a user's own few classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from calibrant.runs import Run
from calibrant.tuning.few_classes import version_for
from calibrant.tuning.recipe import load_recipe

SHORT = ["--set", "solver.epochs=null", "--set", "solver.steps=2", "--set", "solver.batch_size=8"]


@pytest.mark.parametrize(
    ("method", "classes", "images", "changed", "expected"),
    [
        ("flyp", 511, 9999, [], "flyp@few-classes"),
        ("flyp", 512, 9999, [], "flyp"),
        ("flyp", 100, 100, [], "flyp"),
        ("flyp", 99, 100, [], "flyp@few-classes"),
        ("carot+ema+l2_sp", 3, 9999, ["solver.steps"], "carot@few-classes+ema+l2_sp"),
        ("carot@squared", 3, 9999, [], "carot@squared"),
        ("carot", 3, 9999, ["stages.0.objective.name"], "carot"),
        ("flcp", 3, 9999, [], "flcp"),
        ("coop", 3, 9999, [], "coop"),
        ("zero-shot", 3, 9999, [], "zero-shot"),
    ],
)
def test_the_version_that_a_training_set_calls_for(method, classes, images, changed, expected) -> None:
    assert version_for(load_recipe(method), method, classes, images, changed) == expected


def test_few_classes_of_ones_own(calibrant: Any, model: Path, pictures: Path, tmp_path: Path) -> None:
    words = ["tune", model, f"folder:{pictures}", "--method", "flyp", *SHORT]
    result = calibrant(*words, "--output", tmp_path / "few")
    assert result.exit_code == 0, result.output
    assert "flyp is tuned as flyp@few-classes: in batches of 8 images of 3 classes" in " ".join(result.stderr.split())
    run = Run.load(tmp_path / "few")
    assert run.method == "flyp@few-classes"
    assert run.read_recipe()["stages"][0]["objective"] == {"name": "contrastive_soft"}
    assert any("flyp@few-classes" in warning for warning in run.record["warnings"])
    again = calibrant(*words, "--output", tmp_path / "few", "--resume")
    assert again.exit_code == 0, again.output
    plain = calibrant(*words, "--output", tmp_path / "plain", "--set", "objective.name=contrastive")
    assert plain.exit_code == 0, plain.output
    assert "few-classes" not in plain.stderr
    assert Run.load(tmp_path / "plain").method == "flyp"
