"""Other class frequencies and images of none of the classes: classify and evaluate."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrant.errors import CalibrantWarning
from calibrant.predictions import Predictions
from calibrant.runs import Run

Words = Callable[..., Any]


def rows_of(file: str) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


@pytest.fixture(scope="session")
def parts_run(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a folder of two classes, 95:5; tests must not change it."""
    import calibrant as cb

    root, draw = tmp_path_factory.mktemp("teile"), np.random.default_rng(0)
    for name, count, colour in (("ok", 190, 90), ("defect", 10, 150)):
        (root / "bilder" / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(colour + draw.integers(-60, 60, (8, 8, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / "bilder" / name / f"{number}.png")
    with warnings.catch_warnings():  # a model with random weights guesses
        warnings.simplefilter("ignore", CalibrantWarning)
        cb.tune(str(model), f"folder:{root / 'bilder'}", "zero-shot", output=root / "run", offline=True)
    return root / "run"


@pytest.fixture
def parts(parts_run: Path, tmp_path: Path) -> Path:
    """A run on two classes, 95:5, that may be changed."""
    return Path(shutil.copytree(parts_run, tmp_path / "teile"))


def images_of(run: Path) -> Path:
    return Path(Run.load(run).record["data"]["name"].removeprefix("folder:"))


def confidence(rows: list[dict[str, str]], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The probability of one of two classes."""
    return np.array([float(row["confidence" if row["answer"] == name else "confidence_2"]) for row in rows])


def test_validation_keeps_natural_frequencies_and_confidence_follows_the_prior(calibrant: Words, parts: Path) -> None:
    images = images_of(parts) / "defect"
    plain = calibrant("classify", parts, images, "--to", "plain.csv", "--json")
    assert plain.exit_code == 0, plain.output
    result = calibrant("classify", parts, images, "--to", "rare.csv", "--prior", "defect=0.02", "--json")
    assert result.exit_code == 0, result.output
    prior = json.loads(result.stdout)["prior"]
    assert prior["validation"] == {"defect": pytest.approx(0.05), "ok": pytest.approx(0.95)}
    assert prior["assumed"] == {"defect": pytest.approx(0.02), "ok": pytest.approx(0.98)}
    assert prior["training"].keys() == {"defect", "ok"}
    assert prior["estimated_on"] == 0
    assert "defect 2 % (validation 5 %)" in prior["says"]
    before, after = (confidence(rows_of(file), "defect") for file in ("plain.csv", "rare.csv"))
    odds = before / (1 - before) * (0.02 / 0.05) / (0.98 / 0.95)
    np.testing.assert_allclose(after, odds / (1 + odds), atol=3e-6)
    (stored,) = (parts / "priors").iterdir()
    assert json.loads(stored.read_text(encoding="utf-8"))["assumed"] == prior["assumed"]
    refused = calibrant("classify", parts, images, "--to", "rare.csv", "--prior", "defect=0.03")
    assert refused.exit_code == 2
    assert "another run, class list, calibrator or threshold" in " ".join(refused.stderr.split())


def test_an_estimate_is_made_once_for_the_same_images(calibrant: Words, parts: Path, monkeypatch: Any) -> None:
    words = ("classify", parts, images_of(parts), "--prior", "estimate", "--json", "--to")
    first = calibrant(*words, "a.csv")
    assert first.exit_code == 0, first.output
    prior = json.loads(first.stdout)["prior"]
    assert prior["estimated_on"] == 200
    assert sum(prior["assumed"].values()) == pytest.approx(1)
    monkeypatch.setattr("calibrant.deciding.prevalence.prior_of", None)
    again = json.loads(calibrant(*words, "a.csv").stdout)
    assert (again["classified"], again["already_there"], again["prior"]) == (0, 200, prior)
    assert json.loads(calibrant(*words, "b.csv").stdout)["prior"] == prior


def test_measures_follow_the_prior(calibrant: Words, parts: Path) -> None:
    plain = json.loads(calibrant("evaluate", parts, "--calibrator", "none", "--json").stdout)["results"]
    kept = {file: file.read_bytes() for file in (parts / "metrics").iterdir()}
    for assumed in ("defect=0.5", "estimate"):
        words = ("evaluate", parts, "--calibrator", "none", "--prior", assumed)
        (found,) = json.loads(calibrant(*words, "--json").stdout)["results"]
        assert found["measures"]["nll"]["value"] != plain[0]["measures"]["nll"]["value"]
        assert found["prior"]["estimated_on"] == (found["n"] if assumed == "estimate" else 0)
        assert "Class frequencies" in calibrant(*words).stdout
    assert kept == {file: file.read_bytes() for file in (parts / "metrics").iterdir()}


@pytest.fixture
def told(finished: Path, tmp_path: Path) -> Path:
    """A run with drawn predictions: sure and right on 70 % of the validation images, and unknown test images."""
    folder = Path(shutil.copytree(finished, tmp_path / "mein lauf"))
    run, draw = Run.load(folder), np.random.default_rng(0)
    name = run.record["data"]["name"]
    features = run.stored(name, "test").text_features

    def predicted(split: str, data: str, labels: Any) -> None:
        known, many = labels >= 0, len(labels)
        answers = np.where(known & (np.arange(many) % 10 < 7), labels, draw.integers(0, 3, many))
        height = np.where(known & (np.arange(many) % 10 < 7), 6.0, 0.5)
        image_features = draw.normal(size=(many, features.shape[1])) + 4 * known[:, None]
        Predictions(
            logits=height[:, None] * np.eye(3)[answers] + 0.1 * draw.normal(size=(many, 3)),
            labels=labels,
            classes=run.classes,
            columns={"part": np.array(["choice", "threshold"])[draw.integers(0, 2, many)]},
            image_features=image_features / np.linalg.norm(image_features, axis=1, keepdims=True),
            text_features=features,
            logit_scale=10.0,
            about={"data": data, "split": split},
        ).save(run.predictions_file(data, split))

    predicted("validation", name, draw.integers(0, 3, 1200))
    predicted("test", name, draw.integers(0, 3, 300))
    predicted("test", "others", np.full(100, -1))
    return folder


def test_thresholds_follow_the_prior(calibrant: Words, told: Path, new_pictures: Path) -> None:
    name = Run.load(told).classes[0]
    words = ("classify", told, new_pictures, "--abstain", "0.05", "--json", "--to")
    plain = json.loads(calibrant(*words, "a.csv").stdout)["evidence"]
    result = calibrant(*words, "b.csv", "--prior", f"{name}=0.1")
    assert result.exit_code == 0, result.output
    rare = json.loads(result.stdout)["evidence"]
    assert rare["images"] < 0.9 * plain["images"]  # images of the class that is rarer now are left out
    assert rare["errors"] <= 0.05 * rare["answered"]
    stored = json.loads((told / "thresholds" / "temperature.prior.0.05.json").read_text(encoding="utf-8"))
    assert stored["prior"]["assumed"][name] == pytest.approx(0.1)
    assert (told / "thresholds" / "temperature.0.05.json").is_file()


@pytest.mark.parametrize("score", ["mcm", "energy", "nearness", "nouns"])
def test_answer_unsure_or_none_of_these(calibrant: Words, told: Path, new_pictures: Path, score: str) -> None:
    words = ("classify", told, new_pictures, "--none-of-these", score, "--json", "--to")
    result = calibrant(*words, "a.csv")
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout)
    rule = counts["evidence"]["known"]
    assert rule["kept"] / rule["images"] == pytest.approx(0.95, abs=0.01)
    assert counts["unsure"] == 0
    verdicts = [row["verdict"] for row in rows_of("a.csv")]
    assert set(verdicts) <= {"answer", "none of these"}
    assert verdicts.count("none of these") == counts["none of these"]
    both = calibrant(*words, "b.csv", "--abstain", "0.05")
    assert both.exit_code == 0, both.output
    evidence = json.loads(both.stdout)["evidence"]
    assert evidence["says"].startswith(f"None of these below a score ({score})")
    assert "Of the others: Answers above" in evidence["says"]
    others = [row["verdict"] for row in rows_of("b.csv")]
    assert [one == "none of these" for one in others] == [one == "none of these" for one in verdicts]
    assert (told / "thresholds" / f"none-of-these.{score}.0.95.json").is_file()
    assert (told / "thresholds" / "temperature.known.0.05.json").is_file()


def test_known_against_unknown(calibrant: Words, told: Path) -> None:
    assert calibrant("calibrate", told).exit_code == 0
    result = calibrant("evaluate", told, "--nouns", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {one["data"] for one in found["results"]} == {Run.load(told).record["data"]["name"]}
    rows = {one["score"]: one for one in found["unknown"]}
    assert list(rows) == ["confidence, none", "confidence, temperature", "mcm", "energy", "nearness", "nouns"]
    for row in rows.values():
        assert (row["data"], row["n"], row["n_known"]) == ("others", 100, 300)
    # 7 of 10 known images have a higher confidence than every unknown one, the others are like them
    assert rows["confidence, none"]["measures"]["auroc"]["value"] == pytest.approx(0.85, abs=0.04)
    assert rows["confidence, none"]["measures"]["passing"]["value"] < 0.2
    assert rows["nearness"]["measures"]["auroc"]["value"] > 0.95
    assert rows["mcm"]["measures"]["fpr95"]["value"] > 0.5
    shown = calibrant("evaluate", told).stdout
    assert "Images of none of the classes" in shown
    assert "share of the unknown images that are answered when at most 5 %" in " ".join(shown.split())


def test_own_images_without_a_label_are_unknown(calibrant: Words, told: Path, new_pictures: Path) -> None:
    images = sorted(new_pictures.rglob("*.png"))
    Path("unknown.csv").write_text("\n".join(["path,label", *(f"{one}," for one in images)]) + "\n", encoding="utf-8")
    result = calibrant("evaluate", told, "--data", "csv:unknown.csv", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["unknown"]
    assert {(row["data"], row["n"]) for row in rows} == {("csv:unknown.csv", len(images))}
    assert all(row["n_known"] == 300 for row in rows)


def test_unknown_images_of_other_classes_are_refused_before_predicting(calibrant: Words, told: Path) -> None:
    refused = calibrant("evaluate", told, "--data", "emoji/unknown", "--scenes", "3", "--nouns")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "the images of emoji/unknown are of none of its 419 classes" in refused.stderr
    assert not any("unknown" in file.name for file in (told / "predictions").iterdir() if "emoji" in file.name)


def test_unknown_images_in_a_file(calibrant: Words) -> None:
    labels = np.array([0, 1] * 30 + [-1] * 20)
    logits = np.where(labels >= 0, 3.0, 0.0)[:, None] * np.eye(2)[np.maximum(labels, 0)]
    np.savez("a.npz", logits=logits, labels=labels)
    found = json.loads(calibrant("evaluate", "a.npz", "--json").stdout)
    assert found["results"][0]["without_class"] == 20
    assert [row["score"] for row in found["unknown"]] == ["confidence, none", "mcm", "energy"]
    assert all(row["measures"]["auroc"]["value"] == 1 for row in found["unknown"])
    assert all("passing" not in row["measures"] for row in found["unknown"])
    np.savez("b.npz", logits=logits, labels=np.full(80, -1))
    refused = calibrant("evaluate", "b.npz")
    assert refused.exit_code == 2
    assert "no sample belongs to one of the classes" in refused.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--prior", "skyy=0.1"), "did you mean 'sky'"),
        (("--prior", "sky"), "written CLASS=FREQUENCY"),
        (("--prior", "sky=0.1", "--add-classes", "fox"), "of the tuned classes"),
        (("--none-of-these", "mcn"), "did you mean 'mcm'"),
        (("--none-of-these", "mcm", "--keep-known", "1"), "between 0 and 1"),
        (("--none-of-these", "mcm", "--keep-known", "0.999"), "at least 999 of them"),
        (("--none-of-these", "mcm", "--add-classes", "fox"), "for the tuned classes only"),
        (("--none-of-these", "mcm", "--costs", "costs.csv"), "leave one of them out"),
    ],
)
def test_what_cannot_be_is_one_line(
    calibrant: Words, told: Path, new_pictures: Path, words: tuple[str, ...], message: str
) -> None:
    result = calibrant("classify", told, new_pictures, "--to", "a.csv", "--calibrator", "none", *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.replace("warning", "").count("calibrant: ") - result.stderr.count("warning") == 1
    assert not Path("a.csv").exists()


def test_a_prior_and_nouns_need_a_run(calibrant: Words) -> None:
    np.savez("a.npz", logits=np.eye(2)[[0, 1] * 20], labels=[0, 1, 0, -1] * 10)
    for words, message in ((("--prior", "estimate"), "a prior needs a run"), (("--nouns",), "by the model of a run")):
        result = calibrant("evaluate", "a.npz", *words)
        assert result.exit_code == 2
        assert message in result.stderr
