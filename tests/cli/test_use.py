"""What is done with a run: predict, calibrate, evaluate, classify, report."""

from __future__ import annotations

import csv
import dataclasses
import json
import multiprocessing
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrant import calibration
from calibrant.classify import find_images
from calibrant.cli.main import app
from calibrant.predictions import Predictions
from calibrant.runs import Run

SOURCES = Path(__file__).parents[2] / "src"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "mein lauf"))


def test_predictions_say_what_the_model_says(run: Path, pictures: Path) -> None:
    import torch

    opened = Run.load(run)
    stored = opened.stored(f"folder:{pictures}", "test")
    model = opened.tuned_model()
    chosen = opened.open_data(f"folder:{pictures}").split("test")
    assert stored.ids == chosen.ids
    for i in (0, 5, 11):
        pixels = model.encoder.test_transform(chosen.images[i])[None]
        for side, logits in ((model, stored.logits), (model.zero_shot, stored.zero_shot_logits)):
            image, text = side.image_features(pixels).double(), side.text_features(stored.classes).double()
            expected = float(side.encoder.logit_scale) * (image @ text.T)
            assert torch.allclose(torch.from_numpy(logits[i]).double(), expected[0], atol=1e-4)
    assert stored.text_features.shape == stored.zero_shot_base_text_features.shape == (3, 32)
    assert stored.tuned_text is True
    assert not np.allclose(stored.logits, stored.zero_shot_logits)


def test_predictions_without_image_features_are_made_anew(calibrant: Any, run: Path, pictures: Path) -> None:
    """An earlier version did not keep them, and calibrators that look at proximity read them."""
    file = Run.load(run).predictions_file(f"folder:{pictures}", "test")
    whole = Predictions.load(file)
    dataclasses.replace(whole, image_features=None).save(file)
    assert calibrant("predict", run, f"folder:{pictures}").exit_code == 0
    np.testing.assert_allclose(Predictions.load(file).image_features, whole.image_features, atol=1e-6)


def test_stored_predictions_are_used_until_something_changes(calibrant: Any, run: Path, pictures: Path) -> None:
    file = Run.load(run).predictions_file(f"folder:{pictures}", "test")
    before = file.stat().st_mtime_ns
    assert calibrant("predict", run, f"folder:{pictures}").exit_code == 0
    assert file.stat().st_mtime_ns == before
    stale = Predictions.load(file)
    Predictions(logits=stale.logits, about={**stale.about, "run_weights": "others"}).save(file)
    result = calibrant("predict", run, f"folder:{pictures}", "--to", "copy ü.safetensors", "--json")
    assert json.loads(result.stdout) == {"file": "copy ü.safetensors", "split": "test", "images": 12, "classes": 3}
    assert Predictions.load(file).about["run_weights"] == Run.load(run).record["weights"]


def test_calibrate_fits_on_the_choice_part(calibrant: Any, run: Path, pictures: Path) -> None:
    result = calibrant("calibrate", run, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    stored = Run.load(run).stored(f"folder:{pictures}", "validation")
    expected = calibration.TemperatureScaling().fit(stored.subset(stored.columns["part"] == "choice"))
    assert printed["temperature"] == pytest.approx(expected.temperature_)
    assert Run.load(run).calibrator("temperature").temperature_ == expected.temperature_
    assert calibrant("calibrate", run, "--method", "temprature").exit_code == 2


def test_evaluate_refuses_what_was_tuned_on(calibrant: Any, run: Path, pictures: Path) -> None:
    words = ("evaluate", run, "--data", f"folder:{pictures}", "--split", "train")
    refused = calibrant(*words)
    assert refused.exit_code == 2
    assert "15 of 36 images" in refused.stderr
    allowed = calibrant(*words, "--allow-seen", "--json")
    assert allowed.exit_code == 0
    assert json.loads(allowed.stdout)["results"][0]["seen"] == 15
    assert "flatter" in allowed.stderr
    copies = Path("umbenannt") / "sky"
    copies.mkdir(parents=True)
    trained = next(row.path for row in Run.load(run).read_manifest() if row.used)
    for split in ("train", "test"):
        for name in ("sky", "Füchsin"):
            (Path("umbenannt") / split / name).mkdir(parents=True)
    shutil.rmtree(copies)
    others = sorted(set(pictures.rglob("*.png")) - {pictures / trained})
    for number, target in enumerate(("train/sky", "train/Füchsin", "test/Füchsin")):
        for repeat in range(3):
            shutil.copy(others[10 * number + repeat], Path("umbenannt") / target / f"{repeat}.png")
    shutil.copy(pictures / trained, "umbenannt/test/sky/another name.png")
    hidden = calibrant("evaluate", run, "--data", "folder:umbenannt")
    assert hidden.exit_code == 2
    assert "another name.png" in hidden.stderr or "were tuned on" in hidden.stderr


def test_evaluate_by_column_and_with_calibrators(calibrant: Any, run: Path) -> None:
    calibrant("calibrate", run)
    result = json.loads(calibrant("evaluate", run, "--by", "content", "--json").stdout)
    assert [one["calibrator"] for one in result["results"]] == ["none", "temperature"]
    groups = result["results"][0]["groups"]
    assert len(groups) == 12
    assert {group["note"] for group in groups} == {"too few to tell"}
    assert calibrant("evaluate", run, "--by", "sight").exit_code == 2
    only = json.loads(calibrant("evaluate", run, "--calibrator", "none", "--json").stdout)
    assert [one["calibrator"] for one in only["results"]] == ["none"]
    assert len(list((run / "metrics").iterdir())) == 1


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"logits": [[0.0, np.nan]], "labels": [0]}, "NaN"),
        ({"logits": [[0.0, np.inf]], "labels": [0]}, "infinite"),
        ({"logits": np.eye(3), "labels": [0, 1]}, "3 rows"),
        ({"logits": np.eye(3), "labels": [0, 1, 7]}, "label 7"),
        ({"logits": np.eye(2), "labels": [0, 1], "classes": ["a", "a"]}, "unique"),
        ({"logits": np.eye(2), "labels": [0, 1], "classes": ["a", ""]}, "empty"),
        ({"logits": np.eye(2)}, "no labels"),
        ({"labels": [0]}, "logits"),
    ],
)
def test_bad_logits_are_one_line_that_names_the_file(
    calibrant: Any, tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    np.savez(tmp_path / "bad ü.npz", **arrays)
    result = calibrant("evaluate", tmp_path / "bad ü.npz", "--json")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert result.stdout == ""


def test_logits_from_elsewhere_are_calibrated_and_measured(calibrant: Any, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 4, 400)
    np.savez(tmp_path / "mine.npz", logits=draw.normal(size=(400, 4)) + 3 * np.eye(4)[labels], labels=labels)
    fitted = json.loads(calibrant("calibrate", tmp_path / "mine.npz", "--json").stdout)
    assert fitted["file"] == str(tmp_path / "mine.temperature.json")
    words = ("evaluate", tmp_path / "mine.npz", "--calibrator", fitted["file"], "--json")
    (measured,) = json.loads(calibrant(*words).stdout)["results"]
    assert measured["measures"]["nll"]["value"] == pytest.approx(fitted["nll_after"])
    assert calibrant("evaluate", tmp_path / "mine.npz").exit_code == 0


def test_classify_streams_resumes_and_goes_on(calibrant: Any, run: Path, new_pictures: Path) -> None:
    bad = new_pictures / "sky" / "kaputt.png"
    bad.write_bytes(b"no image")
    words = ("classify", run, new_pictures, "--to", "ergebnis ü.csv", "--json", "--batch-size", "5")
    first = calibrant(*words)
    assert first.exit_code == 1, first.output
    counts = json.loads(first.stdout)
    assert counts.pop("first_unreadable").startswith(f"{bad}: not an image")
    assert counts == {"classified": 12, "already_there": 0, "unreadable": 1}
    table = Path("ergebnis ü.csv")
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 13
    (failed,) = [row for row in rows if row["error"]]
    assert failed["file"] == str(bad)
    calibrated = Run.load(run).calibrator("temperature")
    for row in rows:
        if not row["error"]:
            confidences = [float(row[f"confidence{rank}"]) for rank in ("", "_2", "_3")]
            assert sum(confidences) == pytest.approx(1, abs=1e-5)
            assert confidences == sorted(confidences, reverse=True)
            assert row["answer_4"] == ""
    assert calibrated.temperature_ > 0
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) * 2 // 3])
    second = calibrant(*words)
    assert json.loads(second.stdout)["already_there"] > 5
    with open(table, newline="", encoding="utf-8") as file:
        again = list(csv.DictReader(file))
    assert sorted(row["file"] for row in again) == sorted(row["file"] for row in rows)
    assert [row["answer"] for row in again if row["file"] == rows[0]["file"]] == [rows[0]["answer"]]


def test_classify_with_other_classes(calibrant: Any, run: Path, new_pictures: Path) -> None:
    words = ("classify", run, new_pictures, "--json")
    added = calibrant(*words, "--to", "a.jsonl", "--add-classes", "Bär, dog")
    assert added.exit_code == 0, added.output
    assert "has not been checked" in " ".join(added.stderr.split())
    row = json.loads(Path("a.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert {row[f"answer{rank}"] for rank in ("", "_2", "_3", "_4", "_5")} == {
        "Füchsin",
        "olive green",
        "sky",
        "Bär",
        "dog",
    }
    assert calibrant(*words, "--to", "b.csv", "--classes", "cat, dog").exit_code == 0
    mixed = calibrant(*words, "--to", "b.csv", "--classes", "cat, fox")
    assert mixed.exit_code == 2
    assert "another" in mixed.stderr
    assert calibrant(*words, "--to", "c.csv", "--add-classes", "sky").exit_code == 2
    assert calibrant(*words, "--to", "c.txt").exit_code == 2


def test_report_is_one_page(calibrant: Any, run: Path) -> None:
    calibrant("calibrate", run)
    result = calibrant("report", run, "--to", "seite ü.html", "--json")
    assert result.exit_code == 0, result.output
    html = Path(json.loads(result.stdout)["page"]).read_text(encoding="utf-8")
    assert "<svg" in html
    assert "data:image/jpeg" in html
    made = html[html.index("How it was made") :]
    assert re.search(r"calibrant tune .*\ncalibrant calibrate .* --method temperature\ncalibrant report ", made)
    assert any(name in html for name in ("Füchsin", "olive green", "sky"))


@pytest.mark.parametrize("kind", ["methods", "models", "data", "calibrators", "metrics"])
def test_lists(calibrant: Any, kind: str) -> None:
    rows = json.loads(calibrant("list", kind, "--json").stdout)
    assert rows
    assert all(row["name"] for row in rows)
    assert rows[0]["name"] in calibrant("list", kind).stdout


def test_every_command_has_help_with_an_example(calibrant: Any) -> None:
    for command in ("tune", "predict", "calibrate", "evaluate", "classify", "report", "list", "demo"):
        result = calibrant(command, "--help")
        assert result.exit_code == 0
        assert f"calibrant {command}" in " ".join(result.stdout.split())
        assert "--json" in result.stdout
    assert calibrant("--version").stdout.startswith("calibrant ")
    assert calibrant("list", "methds").exit_code == 2


def examples(command: str) -> list[list[str]]:
    """Read the command lines that the help of a command shows."""
    callbacks = {(one.name or one.callback.__name__): one.callback for one in app.registered_commands if one.callback}
    said = " ".join((callbacks[command].__doc__ or "").partition("Example:")[2].split())
    return [shlex.split(line)[1:] for line in re.findall(r"`(calibrant [^`]+)`", said)]


def noise(folder: Path, classes: int, per_class: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    for name in ("cat", "dog", "pony")[:classes]:
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            Image.fromarray(draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / name / f"{number}.png")


def test_the_examples_of_the_help_run(calibrant: Any, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calibrant.demo.demo", lambda *_, **__: {"tables": {}, "report": "", "runs": []})
    noise(Path("my-images"), 3, 30, seed=1)
    noise(Path("more-pets"), 2, 4, seed=2)
    noise(Path("new-photos"), 1, 2, seed=3)
    np.savez("logits.npz", logits=np.eye(3), labels=[0, 1, 2])
    few_steps = ["--set", "solver.steps=2", "--set", "solver.epochs=null", "--set", "solver.views=1"]
    (tune,) = examples("tune")
    words = [str(model) if word.startswith("ViT-B-32/") else word for word in tune]
    assert calibrant(*words, *few_steps, "--set", "solver.batch_size=8", "--offline").exit_code == 0
    for copied in ("runs/pets-coop", "runs/pets-flyp"):
        shutil.copytree("runs/pets", copied)
    for command in ("predict", "calibrate", "evaluate", "classify", "report", "list", "demo"):
        shown = examples(command)
        assert shown
        for line in shown:
            result = calibrant(*line)
            assert result.exit_code == 0, (line, result.output)


@pytest.fixture
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let nobody make a socket, and note whether models are loaded with the wish to stay offline."""

    class Refused(socket.socket):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", Refused)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    from calibrant.models import registry

    wished, load = [], registry.load_model

    def noting(*words: Any, offline: bool = False, **options: Any) -> Any:
        wished.append(offline)
        return load(*words, offline=offline, **options)

    monkeypatch.setattr(registry, "load_model", noting)
    return wished


def test_offline_means_no_socket(
    calibrant: Any, tune_words: list[str], new_pictures: Path, pictures: Path, no_sockets: list[bool]
) -> None:
    assert "--offline" in tune_words
    commands = [
        [*tune_words, "--output", "run"],
        ["calibrate", "run", "--offline"],
        ["predict", "run", f"folder:{new_pictures}", "--offline"],
        ["evaluate", "run", "--data", f"folder:{new_pictures}", "--offline"],
        ["classify", "run", new_pictures, "--to", "a.csv", "--offline"],
    ]
    for words in commands:
        shutil.rmtree("run/predictions", ignore_errors=True)  # so that the model is asked again
        result = calibrant(*words)
        assert result.exit_code == 0, (words[0], result.output)
    # classify fits the calibrator itself where there is none
    assert not Path("run/predictions").exists()
    shutil.rmtree("run/calibrators")
    assert calibrant("classify", "run", new_pictures, "--to", "b.csv", "--offline").exit_code == 0
    assert Run.load("run").calibrators()
    assert len(no_sockets) >= len(commands)
    assert all(no_sockets)


def test_an_infinite_loss_is_null_with_a_note(calibrant: Any, run: Path) -> None:
    logits = np.array([[0.0, -2000.0]] * 40)
    np.savez("sure.npz", logits=logits, labels=np.arange(40) % 2, site=np.array(["a", "b"])[np.arange(40) % 2])
    result = calibrant("evaluate", "sure.npz", "--json")
    assert result.exit_code == 0, result.output
    nll = json.loads(result.stdout)["results"][0]["measures"]["nll"]
    assert nll["value"] is None
    assert "probability 0" in nll["note"]
    assert "note" not in json.loads(result.stdout)["results"][0]["measures"]["brier"]
    shown = calibrant("evaluate", "sure.npz")
    assert shown.exit_code == 0
    assert "∞" in shown.stdout
    about = {"data": "folder:sure", "split": "test"}
    stored = Predictions(logits=logits, labels=np.arange(40) % 2, classes=["a", "b"], about=about)
    stored.save(Run.load(run).predictions_file("folder:sure", "test"))
    assert calibrant("evaluate", run, "--json").exit_code == 0
    written = json.loads(Run.load(run).metrics_file("folder:sure", "test").read_text(encoding="utf-8"))
    assert written[0]["measures"]["nll"]["value"] is None


def test_classify_looks_where_tuning_looks(new_pictures: Path) -> None:
    (new_pictures / "sky" / "._bild 0 ä.png").write_bytes(b"what another system leaves behind")
    (new_pictures / ".hidden").mkdir()
    shutil.copy(new_pictures / "sky" / "bild 1 ä.png", new_pictures / ".hidden" / "1.png")
    found = list(find_images([new_pictures, new_pictures / "sky" / "bild 2 ä.png"]))
    assert len(found) == len(set(found)) == 12
    assert not any(part.startswith(".") for file in found for part in file.relative_to(new_pictures).parts)


def test_as_a_process_without_torch_being_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "a b.npz", logits=np.eye(3), labels=[0, 1, 2])
    code = "import sys; sys.modules['torch'] = None; from calibrant.cli.main import app; app()"
    environment = {**os.environ, "PYTHONPATH": str(SOURCES)}
    command = [sys.executable, "-c", code, "evaluate", str(tmp_path / "a b.npz"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["results"][0]["measures"]["accuracy"]["value"] == 1.0


def _predict_elsewhere(run: str, data: str, results: Any) -> None:
    import calibrant as cb

    results.put(cb.Run.load(run).predict(data, "test").logits)


def test_a_spawned_process_predicts_the_same(run: Path, pictures: Path) -> None:
    before = Run.load(run).stored(f"folder:{pictures}", "test").logits
    shutil.rmtree(run / "predictions")
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    process = context.Process(target=_predict_elsewhere, args=(str(run), f"folder:{pictures}", results))
    process.start()
    after = results.get(timeout=300)
    process.join()
    np.testing.assert_allclose(after, before, atol=1e-4)
