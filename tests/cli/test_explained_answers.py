"""`calibrant classify --explain`: a picture beside every answer."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrant.rationality import RightReason
from calibrant.rationality.overlays import side_by_side
from calibrant.rationality.way import Way
from calibrant.runs import Run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "mein lauf"))


def table(file: Path) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_every_answer_has_a_picture_of_its_own(calibrant: Any, run: Path, new_pictures: Path) -> None:
    (new_pictures / "sky" / "broken.png").write_bytes(b"no picture")
    words = ["classify", run, new_pictures, "--to", "a.csv", "--offline"]
    result = calibrant(*words, "--explain", "shown", "--explainer", "occlusion")
    assert result.exit_code == 1  # for the one that cannot be read
    assert "The pictures are in shown. A map shows where an explainer points" in result.stdout
    rows = table(Path("a.csv"))
    answered = [row for row in rows if not row["error"]]
    assert (len(rows), len(answered)) == (13, 12)
    assert [row["overlay"] for row in rows if row["error"]] == [""]
    # files of one name in three folders have three pictures
    assert len({row["overlay"] for row in answered}) == 12 == len(list(Path("shown").iterdir()))
    opened = Run.load(run)
    model, names = opened.tuned_model(), opened.classes
    for row in answered[:3]:
        image = np.asarray(Image.open(row["file"]).convert("RGB"))
        answer = [names.index(row["answer"])]
        maps = Way("occlusion").explain(model, [image], answer, {}, classes=names, ids=["it"])
        seen = model.encoder.preprocessing.seen(image)
        drawn = np.asarray(Image.open(row["overlay"]), float)
        assert np.abs(drawn - side_by_side(seen, maps.maps[0])).mean() < 3  # a compressed picture
        assert row["evidence"] == ("yes" if maps.evidence[0] else "no")


def test_a_table_goes_on_with_the_same_pictures_only(calibrant: Any, run: Path, new_pictures: Path) -> None:
    words = ["classify", run, "--to", "a.jsonl", "--offline", "--json"]
    first = json.loads(calibrant(*words, new_pictures / "sky", "--explain", "shown").stdout)
    assert (first["classified"], first["overlays"]) == (4, "shown")
    both = json.loads(calibrant(*words, new_pictures, "--explain", "shown").stdout)
    assert (both["classified"], both["already_there"]) == (8, 4)
    rows = [json.loads(line) for line in Path("a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({row["overlay"] for row in rows}) == 12
    for other in ([], ["--explain", "shown", "--explainer", "grad-cam"]):
        refused = calibrant(*words, new_pictures, *other)
        assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
        assert "choose another file" in refused.stderr


def learnt(opened: Run, confidence_of: str) -> RightReason:
    """Fit on drawn numbers, with settings as they are in use."""
    from calibrant.predict import depends_on
    from calibrant.rationality import HeatMaps

    draw = np.random.default_rng(0)
    model = opened.tuned_model()
    pixels = list(draw.integers(0, 255, (2, 32, 32, 3)).astype(np.uint8))
    depends = {**depends_on(opened, model), "of": "tuned"}
    asked = Way(target="prediction").explain(model, pixels, [0, 1], depends, classes=opened.classes, ids=["a", "b"])
    maps = HeatMaps(
        draw.random((200, 4, 4)), [str(i) for i in range(200)], {**asked.settings, "confidence": confidence_of}
    )
    return RightReason().fit(draw.random(200), maps, draw.random(200) < 0.5, draw.random(200))


def test_confidence_for_the_right_reason_stands_beside_the_ordinary_one(
    calibrant: Any, run: Path, new_pictures: Path
) -> None:
    from calibrant.calibrate import calibrator_digest
    from calibrant.calibration import Uncalibrated

    opened = Run.load(run)
    fitted = learnt(opened, calibrator_digest(Uncalibrated()))
    fitted.save(opened.right_reason_file)
    words = ["classify", run, new_pictures, "--explain", "shown", "--offline"]
    assert calibrant(*words, "--calibrator", "none", "--to", "a.csv").exit_code == 0
    rows = table(Path("a.csv"))
    shown = [row for row in rows if row["evidence"] == "yes"]
    assert len(shown) > 3
    assert all(row["right_reason"] == "" for row in rows if row["evidence"] == "no")
    model, names = opened.tuned_model(), opened.classes
    for row in shown[:3]:
        image = np.asarray(Image.open(row["file"]).convert("RGB"))
        answer = [names.index(row["answer"])]
        depends = {key: fitted.settings_[key] for key in ("weights", "prompts", "of", "confidence")}
        maps = Way(target="prediction").explain(model, [image], answer, depends, classes=names, ids=["it"])
        expected = fitted.predict([float(row["confidence"])], maps)[0]
        assert float(row["right_reason"]) == pytest.approx(expected, abs=1e-4)

    # of a calibrator that it was not learnt with, it is not said
    other = calibrant(*words, "--to", "b.csv")
    assert other.exit_code == 0
    assert "right_reason is left out" in other.stderr
    assert "right_reason" not in table(Path("b.csv"))[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--explainer", "occlusion"], "which is missing"),
        (["--explain", "shown", "--explainer", "oclusion"], "did you mean 'occlusion'"),
        (["--explain", "a-file"], "a-file is a file"),
    ],
)
def test_bad_input_gets_one_line(calibrant: Any, run: Path, new_pictures: Path, words: list[str], said: str) -> None:
    Path("a-file").write_text("")
    result = calibrant("classify", run, new_pictures, "--to", "a.csv", "--offline", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert said in result.stderr
    assert not Path("a.csv").exists()
