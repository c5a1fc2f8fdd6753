"""The demo goes on where it was, and does again what was made with something else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import calibrant.demo as the_demo
from calibrant.models.checkpoints import save_model
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.open_clip_loading import build_network
from calibrant.models.registry import load_model
from calibrant.models.tiny import FOLDER
from calibrant.runs import Run
from calibrant.storage import read_json
from calibrant.tuning.recipe import load_recipe

MINI = {
    "embed_dim": 32,
    "quick_gelu": False,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
FEW = {"solver.steps": 2, "solver.batch_size": 8}
SMALL = the_demo.Size(
    scenes=20,
    overrides={"ft": FEW, "flyp": FEW, "coop": FEW},
    plan={"emoji/animals": (), "emoji/animals/base": ("emoji/animals/new",)},
    watched=4,
)


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(the_demo, "QUICK", SMALL)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def encoder(folder: Path, seed: int) -> DualEncoder:
    network = build_network(MINI)
    network.visual.conv1.weight.data *= 1 + seed
    preprocessing = {**read_json(FOLDER / "tiny.json")["preprocess_cfg"], "size": 32}
    save_model(folder, network, preprocessing, {"architecture": MINI, "licence": "none", "source": "test"})
    model = load_model(str(folder))
    model.name = "tiny"  # whose settings the demo shortens
    return model


@pytest.mark.filterwarnings("ignore::calibrant.errors.CalibrantWarning")
def test_a_second_call_tunes_only_what_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import calibrant.tuning.fitting

    tuned = []
    fit = calibrant.tuning.fitting.fit

    def counted(model: Any, train: Any, recipe: Any, **options: Any) -> Any:
        tuned.append((recipe.name, train.name))
        return fit(model, train, recipe, **options)

    monkeypatch.setattr(calibrant.tuning.fitting, "fit", counted)
    one, other = encoder(tmp_path / "a", 0), encoder(tmp_path / "b", 1)
    first = the_demo.demo(tmp_path / "demo", quick=True, model=one, progress=False)
    assert len(tuned) == 8
    assert first["report"].is_file()
    all_classes, halves = first["tables"].values()
    assert {row["method"] for row in all_classes} == set(the_demo.METHODS)
    assert {row["calibrator"] for row in all_classes} == {"none", "temperature"}
    assert list(dict.fromkeys(row["images"] for row in halves)) == ["emoji/animals/base", "emoji/animals/new"]
    second = the_demo.demo(tmp_path / "demo", quick=True, model=one, progress=False)
    assert len(tuned) == 8
    assert json.dumps(second["tables"]) == json.dumps(first["tables"])  # as text an undefined measure equals itself
    changed = replace(SMALL, overrides={**SMALL.overrides, "coop": {**FEW, "solver.steps": 3}})
    monkeypatch.setattr(the_demo, "QUICK", changed)
    the_demo.demo(tmp_path / "demo", quick=True, model=one, progress=False)
    assert tuned[8:] == [("coop", "emoji/animals"), ("coop", "emoji/animals/base")]
    the_demo.demo(tmp_path / "demo", quick=True, model=other, progress=False)
    assert len(tuned) == 18
    assert not list((tmp_path / "demo").glob("*.old-*"))
    run = Run.load(first["runs"][0])
    assert run.record["model"]["fingerprint"] == other.fingerprint()
    assert np.isfinite(run.stored("emoji/animals", "test").logits).all()


@pytest.mark.parametrize("size", ["FULL", "QUICK"])
def test_coop_keeps_the_views_of_its_recipe(size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    overrides = getattr(the_demo, size).overrides["coop"]
    solver = load_recipe("coop", overrides, "tiny").stages[0].solver
    assert int(str(solver["views"])) >= 8
    assert the_demo.SHOTS == 16
