"""`calibrant calibrate`: every method and chains, on a file of predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant import Predictions
from calibrant.calibration import CALIBRATORS, load
from calibrant.errors import CalibrantWarning

pytestmark = pytest.mark.filterwarnings("ignore:cac, a reconstruction:calibrant.errors.CalibrantWarning")
CHAINS = ["dac+temperature", "cac+histogram", "dac+cac+vector", "temperature+isotonic", "dac+best-of"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predictions with everything that a calibrator may read."""
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=150)
    text, before = rng.normal(size=(2, 3, 4))
    path = tmp_path_factory.mktemp("predictions") / "mine.safetensors"
    Predictions(
        logits=4 * (rng.normal(size=(150, 3)) + 2 * np.eye(3)[labels]),
        labels=labels,
        classes=["cat", "dog", "fox"],
        zero_shot_logits=rng.normal(size=(150, 3)) + np.eye(3)[labels],
        text_features=text,
        zero_shot_text_features=before,
        base_text_features=text[:2],
        zero_shot_base_text_features=before[:2],
        image_features=rng.normal(size=(150, 4)),
    ).save(path)
    return path


@pytest.mark.parametrize("method", [*CALIBRATORS, *CHAINS])
def test_every_method_is_fitted_stored_and_used(calibrant: Any, file: Path, tmp_path: Path, method: str) -> None:
    result = calibrant("calibrate", file, "--method", method, "--json")
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert printed["calibrator"] == method
    assert printed["n"] == 150
    stored = Path(printed["file"])
    assert stored.stem == f"mine.{method}"
    fitted = load(stored)
    assert fitted.name == method
    assert fitted(Predictions.load(file)).shape == (150, 3)
    measured = calibrant("evaluate", file, "--calibrator", stored, "--json")
    assert measured.exit_code == 0, measured.output
    found = json.loads(measured.stdout)["results"][0]["measures"]["nll"]["value"]
    assert found == pytest.approx(printed["nll_after"])
    shown = calibrant("calibrate", file, "--method", method, "--to", tmp_path / "again.json")
    assert shown.exit_code == 0, shown.output
    assert "nll after" in shown.stdout


def test_ts_p_learns_from_shifted_predictions(calibrant: Any, file: Path, tmp_path: Path) -> None:
    stored = Predictions.load(file)
    noise = np.random.default_rng(1).normal(size=stored.logits.shape)
    Predictions(logits=stored.logits + 8 * noise, labels=stored.labels, classes=stored.classes).save(
        tmp_path / "s.safetensors"
    )
    words = ("calibrate", file, "--method", "ts-p", "--to", tmp_path / "t.json", "--json")
    alone = json.loads(calibrant(*words).stdout)
    together = json.loads(calibrant(*words, "--shifted", tmp_path / "s.safetensors").stdout)
    assert (alone["perturbed"], together["perturbed"]) == ("logits", "given")
    assert alone["temperature"] != together["temperature"]


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("dac", "calibrator 'dac' needs text_features"),
        ("histogram+dac", "'histogram' ends in probabilities"),
        ("dac+temprature", "did you mean 'temperature'"),
    ],
)
def test_what_cannot_be_fitted_is_one_line(calibrant: Any, tmp_path: Path, method: str, message: str) -> None:
    np.savez(tmp_path / "bare.npz", logits=np.eye(3), labels=np.arange(3))
    result = calibrant("calibrate", tmp_path / "bare.npz", "--method", method)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_calibrator_that_knows_other_classes_is_left_out(file: Path) -> None:
    from calibrant.calibrate import usable
    from calibrant.calibration import TemperatureScaling, VectorScaling

    stored = Predictions.load(file)
    known = {"temperature": TemperatureScaling().fit(stored), "vector": VectorScaling().fit(stored)}
    others = Predictions(logits=np.eye(4), classes=["ant", "bee", "cow", "elk"], about={"data": "more"})
    with pytest.warns(CalibrantWarning, match="more: calibrator 'vector' is left out: .* knows only the 3 classes"):
        assert list(usable(known, others)) == ["temperature"]


def test_the_list_of_calibrators_fits_and_cuts_no_name(calibrant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns in (80, 160):
        monkeypatch.setenv("COLUMNS", str(columns))
        text = calibrant("list", "calibrators").stdout
        assert max(map(len, text.splitlines())) <= columns
        words = set(text.split())
        assert words.issuperset(CALIBRATORS)
        assert all(one.source.split(",")[0] in " ".join(text.split()) for one in CALIBRATORS.values())
    rows = {row["name"]: row for row in json.loads(calibrant("list", "calibrators", "--json").stdout)}
    assert rows["vector"]["transfers"] is False
    assert rows["dac"]["needs_labels"] is False
    assert rows["histogram"]["kind"] == "probabilities"


def test_samples_without_an_error_are_said_and_are_not_gone_by(calibrant: Any, tmp_path: Path) -> None:
    from calibrant.calibrate import preferred

    labels = np.arange(24) % 3
    np.savez(tmp_path / "right.npz", logits=3 * np.eye(3)[labels], labels=labels)
    result = calibrant("calibrate", tmp_path / "right.npz", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["temperature"], found["at_bound"]) == (1, True)
    assert found["nll_after"] == pytest.approx(found["nll_before"])
    assert "do not tell how sure to be" in result.stderr
    learned = Predictions(logits=np.eye(3)[[0, 1, 2, 0]], labels=[0, 1, 2, 1])
    known = {"temperature": load(found["file"]), "vector": CALIBRATORS["vector"]().fit(learned)}
    assert preferred(known) is known["vector"]
    assert preferred({"temperature": known["temperature"]}) is known["temperature"]
