"""Tuning from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from calibrant.runs import Run


def test_tuning_makes_a_whole_run(calibrant, tune_words: list[str], tmp_path: Path) -> None:
    result = calibrant(*tune_words, "--output", tmp_path / "läufe" / "a b", "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    run = Run.load(printed["run"])
    assert run.classes == ["Füchsin", "olive green", "sky"]
    assert {(one["split"], one["n"]) for one in printed["results"]} == {("validation", 12), ("test", 12)}
    assert sorted(path.name for path in run.path.iterdir()) == [
        "log.jsonl", "manifest.csv", "predictions", "recipe.json", "run.json", "weights.safetensors",
    ]  # fmt: skip
    manifest = run.read_manifest()
    assert [sum(row.split == split for row in manifest) for split in ("train", "validation", "test")] == [15, 12, 0]
    log = run.read_log()
    assert [row["step"] for row in log] == [1, 2, 3, 4, 5, 6]
    assert {"accuracy", "zero_shot_accuracy", "done"} <= set(log[-1])
    assert run.record["versions"]["torch"]
    assert run.record["machine"]["threads"] == 1
