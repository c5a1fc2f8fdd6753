"""`calibrant evaluate`: which measures, which intervals, and compared with what."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant import metrics
from calibrant.predictions import Predictions
from calibrant.runs import Run

Words = Callable[..., Any]
DRAW = np.random.default_rng(0)
LABELS = DRAW.integers(0, 3, 300)
LOGITS = 2.0 * DRAW.normal(size=(300, 3)) + 4 * np.eye(3)[LABELS]
CLASSES = ["Füchsin", "olive green", "sky"]
IDS = [f"bild {number}" for number in range(300)]
TEN = {"accuracy", "ece", "ace", "mce", "classwise_ece", "nll", "brier", "auroc", "aurc", "mean_confidence"}


def write(name: str, **fields: Any) -> str:
    """Write predictions of three classes, or what `fields` say instead."""
    Predictions(**{"logits": LOGITS, "labels": LABELS, "classes": CLASSES, "ids": IDS, **fields}).save(Path(name))
    return name


def results(output: Any) -> list[dict[str, Any]]:
    assert output.exit_code == 0, output.output
    found: list[dict[str, Any]] = json.loads(output.stdout)["results"]
    return found


def test_every_number_is_that_of_its_function_with_its_definition(calibrant: Words) -> None:
    output = calibrant("evaluate", write("mine.safetensors"), "--json")
    (one,) = results(output)
    assert one["measures"].keys() >= TEN
    probs = Predictions.load(Path("mine.safetensors")).probabilities()
    expected = metrics.summary_with_intervals(probs, LABELS)
    assert one["measures"] == json.loads(json.dumps(expected))
    assert 0 < one["measures"]["ece"]["p_value"] <= 1
    assert json.loads(output.stdout)["definitions"].keys() == one["measures"].keys()


def test_measures_and_bins_of_ones_choice(calibrant: Words) -> None:
    file = write("mine.safetensors")
    (one,) = results(calibrant("evaluate", file, "--metrics", "aurc, ece", "--bins", "7", "--json"))
    assert list(one["measures"]) == ["ece", "aurc", "ece_noise_floor"]  # an ECE is never without its floor
    probs = Predictions.load(Path(file)).probabilities()
    assert one["measures"]["ece"]["value"] == pytest.approx(metrics.calibration_error(probs, LABELS, bins=7))
    assert "7 right-closed bins" in one["measures"]["ece"]["definition"]
    shown = calibrant("evaluate", file, "--metrics", "aurc,balanced_accuracy").stdout
    assert "AURC" in shown
    assert "balanced" in shown
    assert "NLL" not in shown
    refused = calibrant("evaluate", file, "--metrics", "ace,eec")
    assert refused.exit_code == 2
    assert "unknown measure 'eec'; did you mean 'ece'?" in refused.stderr


def test_levels_of_intervals(calibrant: Words) -> None:
    file = write("mine.safetensors")
    widths = []
    for level in ("0.5", "0.99"):
        (one,) = results(calibrant("evaluate", file, "--interval", level, "--json"))
        widths.append(one["measures"]["auroc"]["high"] - one["measures"]["auroc"]["low"])
    assert widths[0] < widths[1]
    (bare,) = results(calibrant("evaluate", file, "--interval", "none", "--json"))
    assert all(measured["low"] is None for measured in bare["measures"].values())
    assert "p_value" not in bare["measures"]["ece"]
    assert "99 % interval" in calibrant("evaluate", file, "--interval", "0.99").stdout
    assert "interval." not in calibrant("evaluate", file, "--interval", "none").stdout
    for wrong in ("95", "0", "most"):
        refused = calibrant("evaluate", file, "--interval", wrong)
        assert refused.exit_code == 2
        assert "a number between 0 and 1" in refused.stderr


def test_published_variants_stand_beside_and_not_among_the_measures(calibrant: Words) -> None:
    file = write("mine.safetensors", proximity=DRAW.random(300))
    plain, beside = (results(calibrant("evaluate", file, "--json", *more))[0] for more in ([], ["--as-published"]))
    assert "as_published" not in plain
    assert beside["measures"] == plain["measures"]
    probs = Predictions.load(Path(file)).probabilities()
    expected = metrics.published_errors(probs, LABELS, proximity=Predictions.load(Path(file)).proximity)
    assert {name: one["value"] for name, one in beside["as_published"].items()} == pytest.approx(expected)
    assert all(one["definition"] for one in beside["as_published"].values())
    shown = calibrant("evaluate", file, "--as-published").stdout
    assert "for comparison with papers only" in " ".join(shown.split())


def test_predictions_with_proximity_have_piece(calibrant: Words) -> None:
    near = DRAW.random(300)
    (one,) = results(calibrant("evaluate", write("near.safetensors", proximity=near), "--json"))
    probs = Predictions.load(Path("near.safetensors")).probabilities()
    stored = Predictions.load(Path("near.safetensors")).proximity
    assert one["measures"]["piece"]["value"] == pytest.approx(metrics.piece(probs, LABELS, stored, 15))
    refused = calibrant("evaluate", write("far.safetensors"), "--metrics", "piece")
    assert refused.exit_code == 2
    assert "piece needs predictions with the field proximity" in refused.stderr


def test_two_classes_have_their_own_measures(calibrant: Words) -> None:
    two = {"logits": LOGITS[:, :2], "labels": np.minimum(LABELS, 1), "classes": ["fine", "cracked"]}
    columns = {"site": np.array(["a", "b"])[np.arange(300) % 2]}
    words = ("evaluate", write("two.safetensors", **two, columns=columns), "--by", "site", "--json")
    (one,) = results(calibrant(*words))
    probs = Predictions.load(Path("two.safetensors")).probabilities()
    assert one["measures"]["sensitivity"]["value"] == metrics.sensitivity(probs, two["labels"])
    assert "cracked" in one["measures"]["sensitivity"]["definition"]
    first = next(group for group in one["groups"] if group["group"] == "a")
    expected = metrics.class_auroc(probs[::2], two["labels"][::2])
    assert first["measures"]["class_auroc"]["value"] == pytest.approx(expected)
    (only,) = results(calibrant(*words, "--metrics", "ppv"))
    assert list(only["measures"]) == list(only["groups"][0]["measures"]) == ["ppv"]
    refused = calibrant("evaluate", write("three.safetensors"), "--metrics", "ppv")
    assert refused.exit_code == 2
    assert "ppv needs two classes, not 3" in refused.stderr


def test_undefined_measures_are_null_with_a_note(calibrant: Words) -> None:
    (one,) = results(calibrant("evaluate", write("right.safetensors", logits=9 * np.eye(3)[LABELS]), "--json"))
    auroc = one["measures"]["auroc"]
    assert auroc["value"] is None
    assert auroc["low"] is None
    assert "undefined" in auroc["note"]
    assert calibrant("evaluate", "right.safetensors", "--metrics", "all").exit_code == 0


def test_differences_to_another_file_are_paired(calibrant: Words) -> None:
    other = LOGITS + DRAW.normal(size=LOGITS.shape)
    order = DRAW.permutation(300)
    before = write("alt ü.safetensors", logits=other[order], labels=LABELS[order], ids=[IDS[i] for i in order])
    words = ("evaluate", write("neu.safetensors"), "--compare", before)
    (one,) = results(calibrant(*words, "--json"))
    assert one["minus"] == before
    probs = [Predictions(logits=logits, labels=LABELS).probabilities() for logits in (other, LOGITS)]
    expected = metrics.compare(*probs, LABELS)
    assert one["differences"].keys() == expected.keys() - {"ece_noise_floor"}
    for name, found in one["differences"].items():
        assert found["value"] == pytest.approx(expected[name].value, abs=1e-6)
        assert (found["low"] is None) == (not expected[name].known)
    assert one["differences"]["accuracy"]["low"] == pytest.approx(expected["accuracy"].low)
    shown = calibrant(*words).stdout
    assert "minus those of" in " ".join(shown.split())
    (few,) = results(calibrant(*words, "--metrics", "nll", "--interval", "none", "--json"))
    assert few["differences"].keys() == {"nll"}
    assert few["differences"]["nll"]["low"] is None


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": ["Füchsin", "sky", "olive green"]}, "its classes have another order"),
        ({"classes": ["Füchsin", "olive green", "sea"]}, "it has no class 'sky'"),
        ({"logits": LOGITS[:, :2], "labels": np.minimum(LABELS, 1), "classes": CLASSES[:2]}, "2 classes instead of 3"),
        ({"logits": LOGITS[:9], "labels": LABELS[:9], "ids": IDS[:9]}, "it has 9 instead of 300"),
        ({"ids": [*IDS[:-1], "fremd"]}, "it has no sample 'bild 299'"),
        ({"labels": np.where(np.arange(300) == 7, (LABELS + 1) % 3, LABELS)}, "sample 'bild 7' has another label"),
        ({"labels": None}, "has no labels"),
    ],
)
def test_other_samples_or_classes_are_refused_in_one_line(
    calibrant: Words, fields: dict[str, Any], message: str
) -> None:
    refused = calibrant("evaluate", write("a.safetensors"), "--compare", write("b.safetensors", **fields), "--json")
    assert refused.exit_code == 2
    assert refused.stderr.count("\n") == 1
    assert "b.safetensors" in refused.stderr
    assert message in refused.stderr
    assert refused.stdout == ""


def test_runs_are_compared_set_by_set_and_calibrator_by_calibrator(calibrant: Words, finished: Path) -> None:
    for name in ("first", "second"):
        shutil.copytree(finished, name)
    calibrant("calibrate", "first")
    calibrant("calibrate", "second")
    calibrant("calibrate", "second", "--method", "vector")
    found = results(calibrant("evaluate", "second", "--compare", "first", "--json"))
    differing = {one["calibrator"]: one.get("differences") for one in found}
    assert differing.keys() == {"none", "temperature", "vector"}
    assert differing["vector"] is None  # the other run has none
    assert differing["none"]["nll"] == {"value": 0, "low": 0, "high": 0}
    Path("first/predictions").rename("first/gone")
    refused = calibrant("evaluate", "second", "--compare", "first")
    assert refused.exit_code == 2
    assert "first has no predictions of the same data and split" in refused.stderr


def test_numbers_of_a_run_are_kept_whole(calibrant: Words, finished: Path) -> None:
    run = Run.load(Path(shutil.copytree(finished, "run")))
    calibrant("evaluate", "run")
    (file,) = (run.path / "metrics").iterdir()
    whole = file.read_text(encoding="utf-8")
    assert json.loads(whole)[0]["measures"].keys() >= TEN
    assert calibrant("evaluate", "run", "--metrics", "ece").exit_code == 0
    assert calibrant("evaluate", "run", "--interval", "none").exit_code == 0
    assert file.read_text(encoding="utf-8") == whole


def test_all_tables_fit_into_80_columns(calibrant: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    two = {"logits": LOGITS[:, :2], "labels": np.minimum(LABELS, 1), "classes": ["fine", "cracked"]}
    about = {"data": "folder:a rather long name of pictures", "split": "test"}
    columns = {"site": np.array(["north", "a hospital far away"])[np.arange(300) % 2]}
    mine = write("mine.safetensors", **two, about=about, columns=columns, proximity=DRAW.random(300))
    other = write("other.safetensors", **{**two, "logits": 0.5 * LOGITS[:, :2]})
    words = ("--metrics", "all", "--by", "site", "--as-published", "--compare", other)
    shown = calibrant("evaluate", mine, *words)
    assert shown.exit_code == 0, shown.output
    lines = shown.stdout.splitlines()
    prose = [line for line in lines if ": " in line and not line.startswith(" ")]
    assert max(len(line) for line in lines if line not in prose) <= 80
    assert "…" not in shown.stdout  # nothing is cut off


def test_by_offers_no_column_that_calibrant_fills_for_itself() -> None:
    from calibrant.errors import InputError
    from calibrant.measuring import measure

    columns = {"content": np.array(["0f", "1a"]), "site": np.array(["Rome", "Oslo"])}
    stored = Predictions(logits=np.eye(2), labels=[0, 1], columns=columns)
    with pytest.raises(InputError, match=r"unknown column of the predictions 'colour'; known: site$"):
        measure(stored, {"none": None}, by="colour")
