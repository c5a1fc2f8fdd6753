"""Calibrators that compare the tuned with the zero-shot model, as a user meets them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import calibrant as cb
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.predict import answer
from calibrant.runs import Run
from calibrant.storage import read_json, write_json

FEW_STEPS = {"solver.steps": 3, "solver.epochs": None, "solver.batch_size": 8, "solver.learning_rate": 0.01}


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run, of which only the text side was tuned."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture(scope="module")
def image_tuned(model: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose image tower was tuned, with a model folder of its own."""
    place = tmp_path_factory.mktemp("image-tuned")
    own = shutil.copytree(model, place / "model")
    options = {"overrides": FEW_STEPS, "offline": True, "progress": False}
    cb.tune(str(own), f"folder:{pictures}", "ft", shots=5, output=place / "run", **options)
    return place


@pytest.mark.parametrize(
    "name", ["dac", "cac", "zs-norm", "zero-shot-temperature", "dac+temperature", "cac+temperature", "dac+cac"]
)
def test_from_calibrating_to_classifying_other_classes(
    calibrant: Any, run: Path, new_pictures: Path, name: str
) -> None:
    fitted = calibrant("calibrate", run, "--method", name, "--json")
    assert fitted.exit_code == 0, fitted.output
    result = json.loads(fitted.stdout)
    assert result["calibrator"] == name
    if "cac" in name:
        assert result["reconstruction"] == "l1_mean"
        assert "cac, a reconstruction," in " ".join(fitted.stderr.split())
    assert calibrant("evaluate", run, "--calibrator", name).exit_code == 0
    words = ("classify", run, new_pictures, "--calibrator", name, "--json")
    assert calibrant(*words, "--to", "same.csv").exit_code == 0
    others = calibrant(*words, "--to", "others.csv", "--add-classes", "moss, 'fire, red'")
    assert others.exit_code == 0, others.output
    with open("others.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert all(0.2 <= float(row["confidence"]) <= 1 for row in rows)


def test_classify_gives_the_weights_of_the_class_list_at_hand(run: Path, new_pictures: Path) -> None:
    opened = Run.load(run)
    dac = cb.calibration.DistanceAware().fit(next(opened.predictions()))
    assert (dac.class_weights_ == 1).all()
    names = [*opened.classes, "moss", "a fire engine"]
    pixels = [np.random.default_rng(0).integers(0, 255, (24, 24, 3), np.uint8)]
    weights = dac.class_weights(answer(opened.tuned_model(), pixels, names))
    assert (weights[:3] == 1).all()
    assert (weights[3:] != 1).all()


@pytest.mark.parametrize(("name", "towers"), [("none", 1), ("temperature", 1), ("dac", 1), ("cac", 2), ("dac+cac", 2)])
def test_only_who_reads_zero_shot_logits_pays_for_a_second_image_tower(
    calibrant: Any, image_tuned: Path, new_pictures: Path, monkeypatch: pytest.MonkeyPatch, name: str, towers: int
) -> None:
    run = image_tuned / "run"
    assert name == "none" or calibrant("calibrate", run, "--method", name, "--offline").exit_code == 0
    encoded = []
    encode = OpenClipEncoder.encode_image

    def counting(self: OpenClipEncoder, pixels: Any, *others: Any) -> Any:
        encoded.append(len(pixels))
        return encode(self, pixels, *others)

    monkeypatch.setattr(OpenClipEncoder, "encode_image", counting)
    words = ("classify", run, new_pictures, "--calibrator", name, "--to", f"{name}.csv", "--offline")
    assert calibrant(*words).exit_code == 0
    assert sum(encoded) == 12 * towers


def test_without_the_zero_shot_weights_classify_says_so_and_stops(
    calibrant: Any, image_tuned: Path, new_pictures: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(image_tuned / "run", tmp_path / "orphan"))
    record = read_json(run / "run.json")
    gone = tmp_path / "gone"
    record["model"]["name"] = str(gone)
    write_json(run / "run.json", record)
    calibrators = run / "calibrators"
    calibrators.mkdir(exist_ok=True)
    cac = cb.calibration.ContrastAware()
    cac.fit(cb.Predictions(logits=np.eye(3), zero_shot_logits=np.eye(3), classes=record["classes"]))
    cac.save(calibrators / "cac.json")
    result = calibrant("classify", run, new_pictures, "--calibrator", "cac", "--to", "a.csv", "--offline")
    assert result.exit_code == 2
    assert str(gone) in result.output
    assert len(result.output.strip().splitlines()) == 1
    assert not Path("a.csv").exists()
