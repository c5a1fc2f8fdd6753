"""Tuning from the command line: whole runs, interrupted runs, and everything that can be wrong with what is given."""

from __future__ import annotations

import importlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from calibrant.errors import InputError
from calibrant.runs import Run

SOURCES = Path(__file__).parents[2] / "src"


def test_tuning_makes_a_whole_run(calibrant: Any, tune_words: list[str], tmp_path: Path) -> None:
    result = calibrant(*tune_words, "--output", tmp_path / "läufe" / "a b", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    run = Run.load(printed["run"])
    assert run.classes == ["Füchsin", "olive green", "sky"]
    assert {(one["split"], one["n"]) for one in printed["results"]} == {("validation", 12), ("test", 12)}
    names = ["log.jsonl", "manifest.csv", "near_duplicates.csv", "predictions", "recipe.json", "run.json"]
    assert sorted(path.name for path in run.path.iterdir()) == [*names, "weights.safetensors"]
    manifest = run.read_manifest()
    splits = ("train", "validation", "test")
    assert [sum(row.split == split for row in manifest) for split in splits] == [36, 12, 12]
    assert [sum(row.split == split and row.used for row in manifest) for split in splits] == [15, 12, 0]
    assert all(row.content and row.label in run.classes for row in manifest)
    log = run.read_log()
    assert [row["step"] for row in log] == [1, 2, 3, 4, 5, 6]
    assert {"accuracy", "zero_shot_accuracy", "done"} <= set(log[-1])
    assert run.record["versions"]["torch"]
    assert run.record["machine"]["threads"] == 1


def test_the_profile_is_printed_before_tuning(calibrant: Any, tune_words: list[str], tmp_path: Path) -> None:
    first = calibrant(*tune_words, "--output", tmp_path / "run").stdout.splitlines()[0]
    assert first == "coop: published settings (by the model; --profile names others)"
    chosen = calibrant(*tune_words, "--output", tmp_path / "run", "--overwrite", "--profile", "tiny").stdout
    assert chosen.splitlines()[0] == "coop: tiny settings"


def test_an_existing_run_is_refused_resumed_or_replaced(calibrant: Any, tune_words: list[str]) -> None:
    words = [*tune_words, "--output", "run"]
    assert calibrant(*words).exit_code == 0
    weights = Path("run/weights.safetensors").read_bytes()
    refused = calibrant(*words)
    assert refused.exit_code == 2
    assert "--resume" in refused.stderr
    assert "--overwrite" in refused.stderr
    shutil.rmtree("run/predictions")
    assert calibrant(*words, "--resume").exit_code == 0
    assert len(list(Path("run/predictions").iterdir())) == 2
    other = calibrant(*words, "--resume", "--train-seed", "2")
    assert other.exit_code == 2
    assert "another training seed" in other.stderr
    assert calibrant(*words, "--overwrite", "--train-seed", "2").exit_code == 0
    assert Path("run/weights.safetensors").read_bytes() != weights


def test_a_killed_run_ends_as_if_nothing_had_happened(tune_words: list[str], calibrant: Any, tmp_path: Path) -> None:
    words = [*tune_words, "--set", "solver.steps=400", "--save-every", "2"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCES), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "calibrant", *words, "--output", "killed"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    log = tmp_path / "killed" / "log.jsonl"
    while process.poll() is None and not (log.is_file() and log.read_text(encoding="utf-8").count("\n") >= 5):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Run.load("killed", unfinished=True).status == "tuning"
    half = calibrant("evaluate", "killed")
    assert half.exit_code == 2
    assert "half-written" in half.stderr
    assert calibrant(*words, "--output", "killed", "--resume").exit_code == 0
    assert calibrant(*words, "--output", "whole").exit_code == 0
    resumed, whole = Run.load("killed"), Run.load("whole")
    assert resumed.record["weights"] == whole.record["weights"]
    assert [row["step"] for row in resumed.read_log()] == list(range(1, 401))


def test_ctrl_c_says_how_to_go_on(calibrant: Any, tune_words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("calibrant.watch.Watch.__call__", stop)
    result = calibrant(*tune_words, "--output", "run")
    assert result.exit_code == 130
    assert result.stderr.count("\n") == 1
    assert "--output run --resume" in result.stderr


def test_a_run_is_replaced_only_by_one_that_comes_off(
    calibrant: Any, tune_words: list[str], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(finished, "läufe/run")
    weights = Path("läufe/run/weights.safetensors").read_bytes()
    words = [*tune_words, "--output", "läufe/run", "--overwrite", "--save-every", "3", "--train-seed", "9"]

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    def crash(*_: Any) -> None:
        raise RuntimeError("out of memory")

    def refuse(*_: Any) -> None:
        raise InputError("the loss is not finite")

    for harm, says in ((stop, "is as it was"), (crash, "out of memory"), (refuse, "not finite")):
        with monkeypatch.context() as patch:
            patch.setattr("calibrant.watch.Watch.__call__", harm)
            assert says in calibrant(*words).stderr
        assert os.listdir("läufe") == ["run"]
        assert Run.load("läufe/run").record["train_seed"] == 1
        assert Path("läufe/run/weights.safetensors").read_bytes() == weights
    with monkeypatch.context() as patch:
        patch.setattr("calibrant.watch.Watch.__call__", lambda _, step, *__: stop() if step > 3 else {})
        assert "--resume" in calibrant(*words).stderr
    assert os.listdir("läufe") == ["run"]
    assert Run.load("läufe/run", unfinished=True).record["train_seed"] == 9


def test_resuming_names_everything_that_is_different(
    calibrant: Any, tune_words: list[str], finished: Path, pictures: Path
) -> None:
    shutil.copytree(finished, "run")
    words = [*tune_words, "--output", "run", "--resume"]
    assert calibrant(*words).exit_code == 0
    Path("names.csv").write_text("folder,words\nsky,heaven|sky\n", encoding="utf-8")
    wording = calibrant(*words, "--names", "names.csv", "--template", "an image of {}.")
    assert wording.exit_code == 2
    assert "another template (a photo of a {}., now an image of {}.)" in wording.stderr
    assert "another class list (sky, now heaven)" in wording.stderr or "choice of words" in wording.stderr
    seeds = calibrant(*words, "--data-seed", "2", "--train-seed", "3", "--set", "solver.learning_rate=0.5")
    for what in ("data seed (1, now 2)", "training seed (1, now 3)", "solver.learning_rate (0.002, now 0.5)"):
        assert f"another {what}" in seeds.stderr
    assert "another number of shots (5, now 4)" in calibrant(*words, "--shots", "4").stderr
    assert "another method (coop, now ft)" in calibrant(*words, "--method", "ft").stderr
    image = next(one for one in Run.load("run").read_manifest() if one.split == "test").path
    kept = (pictures / image).read_bytes()
    try:
        Image.new("RGB", (24, 24), (1, 2, 3)).save(pictures / image)
        assert "another set of test images" in calibrant(*words).stderr
    finally:
        (pictures / image).write_bytes(kept)


def test_the_recorded_command_makes_the_same_run(calibrant: Any, tune_words: list[str], tmp_path: Path) -> None:
    Path("meine namen.csv").write_text("folder,words\nsky,heaven\n", encoding="utf-8")
    options = ["--names", "meine namen.csv", "--template", "an image of {}.", "--template", "a {}.", "--data-seed", "3"]
    options += ["--background", "0,0,9", "--window", "0,4095", "--pixel-limit", "9999", "--on-bad-image", "skip"]
    options += ["--set", "solver.learning_rate=1e-3", "--profile", "published"]
    assert calibrant(*tune_words, *options, "--output", "one").exit_code == 0
    first = Run.load("one")
    words = shlex.split(first.record["command"])
    assert words[:2] == ["calibrant", "tune"]
    for option in options:
        assert option in words or option in ("0,4095", "solver.learning_rate=1e-3")
    os.rename("one", "kept")
    again = calibrant(*words[1:], "--offline")
    assert again.exit_code == 0, again.output
    kept, made = Run.load("kept").record, Run.load("one").record
    assert made["weights"] == kept["weights"]
    assert made["command"] == kept["command"]
    assert made["data"] == kept["data"]


def test_a_run_records_where_everything_comes_from(finished: Path) -> None:
    record = json.loads((finished / "run.json").read_text(encoding="utf-8"))
    for what in ("model", "data"):
        for key in ("licence", "source", "limits"):
            assert record[what][key], f"{what} {key}"


def test_a_full_disk_ends_in_one_line_and_can_be_resumed(
    calibrant: Any, tune_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*tune_words, "--output", "run", "--save-every", "2"]
    replace = os.replace

    def full(source: Any, target: Any) -> None:
        if "weights" in str(target):
            raise OSError(28, "No space left on device")
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        result = calibrant(*words)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert "Traceback" not in result.output
    assert calibrant(*words, "--resume").exit_code == 0


def wrong(calibrant: Any, *words: object) -> str:
    """Run a command that must fail on its input, and give its one line."""
    result: Result = calibrant(*words)
    assert result.exit_code == 2, result.output
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stdout == ""
    return result.stderr


def test_bad_input_is_one_line_and_leaves_nothing(
    calibrant: Any, tune_words: list[str], model: Path, pictures: Path, tmp_path: Path
) -> None:
    words = [*tune_words, "--output", "run"]
    data = f"folder:{pictures}"
    assert "did you mean 'coop'" in wrong(calibrant, "tune", model, data, "--method", "coup")
    assert "did you mean 'tiny'" in wrong(calibrant, "tune", "tinny", data)
    assert "did you mean 'emoji'" in wrong(calibrant, "tune", model, "emojy")
    assert "did you mean 'steps'" in wrong(calibrant, *words, "--set", "solver.stepz=3")
    assert "KEY=VALUE" in wrong(calibrant, *words, "--set", "steps")
    assert "fewer than 50 shots" in wrong(calibrant, *words, "--shots", "50")
    assert "did you mean 'fail'" in wrong(calibrant, *words, "--on-bad-image", "fails")
    assert "{}" in wrong(calibrant, *words, "--template", "a photo")
    assert "no such option" in wrong(calibrant, *words, "--methd", "coop").lower()
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "notes.txt").write_text("mine")
    assert "not empty" in wrong(calibrant, *tune_words, "--output", "own", "--overwrite")
    assert not Path("run").exists()


def test_bad_folders_are_one_line(calibrant: Any, model: Path, pictures: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pictures, copy)
    (copy / "sky" / "bad.png").write_bytes(b"no image")
    assert "bad.png" in wrong(calibrant, "tune", model, f"folder:{copy}")
    (copy / "sky" / "bad.png").unlink()
    (copy / "empty").mkdir()
    assert "empty holds no images" in wrong(calibrant, "tune", model, f"folder:{copy}")
    for name in ("empty", "sky", "Füchsin"):
        shutil.rmtree(copy / name)
    assert "single class" in wrong(calibrant, "tune", model, f"folder:{copy}")


def test_a_bad_image_can_be_skipped(calibrant: Any, tune_words: list[str], pictures: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(pictures, copy)
    (copy / "sky" / "bad.png").write_bytes(b"no image")
    words = [word if word != f"folder:{pictures}" else f"folder:{copy}" for word in tune_words]
    result = calibrant(*words, "--output", "run", "--on-bad-image", "skip")
    assert result.exit_code == 0
    assert "bad.png" in result.stderr
    assert any("bad.png" in text for text in Run.load("run").record["warnings"])


def test_a_checkpoint_of_another_architecture(calibrant: Any, model: Path, pictures: Path) -> None:
    words = ("tune", "ViT-B-32", f"folder:{pictures}", "--checkpoint", model / "open_clip_model.safetensors")
    assert "architecture" in wrong(calibrant, *words)


def test_the_traceback_is_shown_on_request_only(calibrant: Any) -> None:
    assert "Traceback" not in calibrant("evaluate", "absent").output
    result = CliRunner().invoke(
        __import__("calibrant.cli.main", fromlist=["app"]).app, ["evaluate", "absent", "--debug"]
    )
    assert result.exception is not None
    assert not isinstance(result.exception, SystemExit)


def test_what_is_read_is_said_before_anything_slow_begins(
    calibrant: Any, tune_words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def slow(*_: Any, **__: Any) -> None:
        raise InputError(f"by now there were {len(said)} lines")

    monkeypatch.setattr("calibrant.models.registry.load_model", slow)
    tuning = importlib.import_module("calibrant.tune")
    monkeypatch.setattr(tuning, "announce", lambda line, wanted: said.append(line) if wanted else None)
    assert "by now there were 1 lines" in calibrant(*tune_words).stderr
    assert said[0].startswith(f"reading {tune_words[2]} and the model {tune_words[1]}, to tune it with coop")
    assert "by now there were 1 lines" in calibrant(*tune_words, "--json").stderr


def test_typos_are_named_before_the_model_is_opened_or_an_image_is_read(
    calibrant: Any, tune_words: list[str], finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing slow may begin before everything cheap is checked")

    monkeypatch.setattr("calibrant.models.registry.load_model", too_late)
    monkeypatch.setattr("calibrant.data.labelled_files.scan", too_late)
    Path("file").touch()
    missing = [word + " gone" if word.startswith("folder:") else word for word in tune_words]
    for words, says in (
        ((*tune_words, "--method", "cop"), "did you mean 'coop'"),
        ((*tune_words, "--set", "solver.lerning_rate=1"), "lerning_rate"),
        ((*tune_words, "--set", "solver.learning_rate=fast"), "learning_rate"),
        ((*tune_words, "--profile", "tny"), "did you mean 'tiny'"),
        ((*tune_words, "--output", "file"), "is a file"),
        ((*tune_words, "--output", finished), "already holds a finished run"),
        ((*tune_words, "--template", "a photo"), "template 'a photo' must contain {} exactly once"),
        ((*tune_words, "--on-bad-image", "skp"), "did you mean 'skip'"),
        ((*tune_words, "--names", "gone.csv"), "cannot read gone.csv"),
        (missing, "gone is missing"),
    ):
        result = calibrant(*words)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.output
        assert says in result.stderr
