"""Answer, be unsure or ask: classify --abstain and --costs, evaluate --costs."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant.predictions import Predictions
from calibrant.runs import Run

Words = Callable[..., Any]
COSTS = "true,Füchsin,olive green,sky,ask\nFüchsin,0,1,1,0.4\nolive green,8,0,1,0.4\nsky,1,1,0,0.4\n"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed, with validation predictions that are drawn: 70 % sure and right."""
    folder = Path(shutil.copytree(finished, tmp_path / "mein lauf"))
    opened = Run.load(folder)
    name = opened.record["data"]["name"]
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 3, 1200)
    sure = np.arange(1200) % 10 < 7
    told = np.where(sure, labels, draw.integers(0, 3, 1200))
    logits = np.where(sure, 6.0, 0.5)[:, None] * np.eye(3)[told] + 0.1 * draw.normal(size=(1200, 3))
    part = np.array(["choice", "threshold"])[draw.integers(0, 2, 1200)]
    Predictions(
        logits=logits,
        labels=labels,
        classes=opened.classes,
        columns={"part": part},
        about={"data": name, "split": "validation"},
    ).save(opened.predictions_file(name, "validation"))
    return folder


def table_of(file: str) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_rows_say_answer_or_unsure(calibrant: Words, run: Path, new_pictures: Path) -> None:
    (new_pictures / "sky" / "kaputt.png").write_bytes(b"no image")
    words = ("classify", run, new_pictures, "--to", "a ü.csv", "--abstain", "0.05")
    result = calibrant(*words, "--json")
    assert result.exit_code == 1, result.output
    counts = json.loads(result.stdout)
    evidence = counts["evidence"]
    assert evidence["errors"] <= 0.05 * evidence["answered"]
    assert 0.6 < evidence["answered"] / evidence["images"] < 0.8
    assert evidence["says"].startswith("Answers above 0.")
    assert evidence["bound"] <= 0.05
    rows = table_of("a ü.csv")
    assert list(rows[0])[:4] == ["file", "verdict", "answer", "confidence"]
    for row in rows:
        if row["error"]:
            assert row["verdict"] == ""
        elif abs(float(row["confidence"]) - evidence["threshold"]) > 1e-5:
            assert row["verdict"] == ("answer" if float(row["confidence"]) > evidence["threshold"] else "unsure")
    assert sum(row["verdict"] == "unsure" for row in rows) == counts["unsure"]
    again = calibrant(*words)
    assert "already in" in again.stdout
    assert evidence["says"] in " ".join(again.stdout.split())


def test_the_threshold_is_stored_with_its_evidence_and_used_again(
    calibrant: Words, run: Path, new_pictures: Path
) -> None:
    words = ("classify", run, new_pictures, "--abstain", "0.05", "--json", "--to")
    first = json.loads(calibrant(*words, "a.csv").stdout)["evidence"]
    (file,) = (run / "thresholds").iterdir()
    stored = json.loads(file.read_text(encoding="utf-8"))
    assert file.name == "temperature.0.05.json"
    assert stored["says"] == first["says"]
    assert {key: first[key] for key in stored["rule"]} == stored["rule"]
    assert calibrant(*words, "c.csv", "--calibrator", "none").exit_code == 0
    assert {one.name for one in (run / "thresholds").iterdir()} == {"temperature.0.05.json", "none.0.05.json"}
    opened = Run.load(run)
    opened.predictions_file(opened.record["data"]["name"], "validation").unlink()
    assert json.loads(calibrant(*words, "b.csv").stdout)["evidence"] == first  # nothing had to be predicted


def test_only_images_that_the_calibrator_has_not_seen_are_evidence(
    calibrant: Words, run: Path, new_pictures: Path
) -> None:
    opened = Run.load(run)
    stored = opened.stored(opened.record["data"]["name"], "validation")
    result = json.loads(calibrant("classify", run, new_pictures, "--to", "a.csv", "--abstain", "0.05", "--json").stdout)
    tested = stored.subset(stored.columns["part"] == "threshold")
    confidence = Run.load(run).calibrator("temperature")(tested)
    sure = confidence.max(axis=1) >= result["evidence"]["threshold"]
    assert result["evidence"]["images"] == len(tested)
    assert result["evidence"]["answered"] == sure.sum()
    assert result["evidence"]["errors"] == (confidence.argmax(axis=1) != tested.labels)[sure].sum()


def test_no_threshold_is_said_honestly(calibrant: Words, run: Path, new_pictures: Path) -> None:
    result = calibrant("classify", run, new_pictures, "--to", "a.csv", "--abstain", "0.001")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "at most 0.1 % of answers are wrong" in result.stderr
    assert "About 3,000 answers without an error are needed" in result.stderr
    assert not Path("a.csv").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--abstain", "0"), "between 0 and 1"),
        (("--abstain", "5"), "between 0 and 1"),
        (("--abstain", "nan"), "between 0 and 1"),
        (("--abstain", "0.05", "--costs", "costs.csv"), "not both"),
        (("--abstain", "0.05", "--add-classes", "fox"), "tuned classes only"),
        (("--costs", "missing.csv"), "cannot read missing.csv"),
        (("--costs", "costs.csv", "--add-classes", "fox"), "class 'fox' is only in the class list"),
    ],
)
def test_what_cannot_be_promised_is_one_line(
    calibrant: Words, run: Path, new_pictures: Path, words: tuple[str, ...], message: str
) -> None:
    Path("costs.csv").write_text(COSTS, encoding="utf-8")
    result = calibrant("classify", run, new_pictures, "--to", "a.csv", "--calibrator", "none", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("a.csv").exists()


def test_a_table_is_not_continued_with_another_rule(calibrant: Words, run: Path, new_pictures: Path) -> None:
    words = ("classify", run, new_pictures, "--to", "a.jsonl")
    assert calibrant(*words, "--abstain", "0.05").exit_code == 0
    for others in (("--abstain", "0.2"), ()):
        refused = calibrant(*words, *others)
        assert refused.exit_code == 2
        assert "another run, class list, calibrator or threshold" in " ".join(refused.stderr.split())
    calibrant("classify", run, new_pictures, "--to", "b.csv")
    assert "other columns" in " ".join(
        calibrant("classify", run, new_pictures, "--to", "b.csv", "--abstain", "0.05").stderr.split()
    )


def test_decisions_by_cost(calibrant: Words, run: Path, new_pictures: Path) -> None:
    Path("costs.csv").write_text(COSTS, encoding="utf-8")
    result = calibrant("classify", run, new_pictures, "--to", "a.parquet", "--costs", "costs.csv", "--json")
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout)
    evidence = counts["evidence"]
    assert evidence["cost"]["low"] <= evidence["cost"]["value"] <= evidence["cost"]["high"]
    assert evidence["cost"]["value"] < evidence["likeliest"]["value"]
    assert "validation images these decisions cost" in evidence["says"]
    calibrant("classify", run, new_pictures, "--to", "a.csv", "--costs", "costs.csv")
    rows = table_of("a.csv")
    for row in rows:
        assert row["verdict"] == ("answer" if row["decision"] else "ask")
        assert float(row["expected_cost"]) <= 0.4 + 1e-6
    assert sum(row["verdict"] == "ask" for row in rows) == counts["ask"]
    other = calibrant("classify", run, new_pictures, "--to", "b.csv", "--classes", "cat, dog", "--costs", "costs.csv")
    assert other.exit_code == 2
    Path("two.csv").write_text("true,dog,cat\ndog,0,1\ncat,1,0\n", encoding="utf-8")
    words = ("--classes", "cat, dog", "--costs", "two.csv")
    assert "is not known" in calibrant("classify", run, new_pictures, "--to", "b.csv", *words).stdout
    assert {row["verdict"] for row in table_of("b.csv")} == {"answer"}


def test_evaluate_measures_decisions_by_cost(calibrant: Words, run: Path, tmp_path: Path) -> None:
    Path("costs.csv").write_text(COSTS, encoding="utf-8")
    measured = json.loads(calibrant("evaluate", run, "--costs", "costs.csv", "--split", "validation", "--json").stdout)
    (one,) = measured["results"]
    assert one["costs"]["cost"]["low"] <= one["costs"]["cost"]["value"] <= one["costs"]["cost"]["high"]
    assert one["costs"]["n"] == 1200
    assert {row["class"] for row in measured["thresholds"]} == {"Füchsin", "olive green", "sky"}
    assert all(0 < row["never_below"] <= row["always_from"] <= 1 for row in measured["thresholds"])
    shown = " ".join(calibrant("evaluate", run, "--costs", "costs.csv", "--split", "validation").stdout.split())
    assert one["costs"]["says"] in shown
    assert "'olive green' is the cheapest decision from probability 0.6 on" in shown
    # of what is no Füchsin, 0.4 instead of 1 (sky) or 8 (olive green) can be saved by asking
    assert "'Füchsin' may be the cheapest decision from probability 0.6 on, and always is from 0.95 on" in shown
    np.savez("two.npz", logits=np.eye(2), labels=[0, 1], classes=["a", "b"])
    refused = calibrant("evaluate", "two.npz", "--costs", "costs.csv")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert "none of the predictions has just these" in refused.stderr
