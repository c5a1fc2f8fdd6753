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

from calibrant.rationality import HeatMaps, RightReason
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

    # of a calibrator or prior that it was not learnt with, it is not said
    for number, another in enumerate(([], ["--calibrator", "none", "--prior", "sky=0.1"])):
        other = calibrant(*words, *another, "--to", f"b{number}.csv")
        assert other.exit_code == 0
        assert "right_reason is left out: it was learnt with another calibrator or prior;" in other.stderr
        assert other.stderr.count("\n") == 1
        assert "right_reason" not in table(Path(f"b{number}.csv"))[0]


def test_all_formats_hold_the_same_columns(calibrant: Any, run: Path, new_pictures: Path) -> None:
    from calibrant.calibrate import calibrator_digest
    from calibrant.calibration import Uncalibrated

    parquet = pytest.importorskip("pyarrow.parquet")
    learnt(Run.load(run), calibrator_digest(Uncalibrated())).save(Run.load(run).right_reason_file)
    (new_pictures / "sky" / "broken.png").write_bytes(b"no picture")
    for ending in ("csv", "jsonl", "parquet"):
        words = ["classify", run, "--explain", "shown", "--calibrator", "none", "--to", f"a.{ending}", "--offline"]
        assert calibrant(*words, new_pictures / "sky").exit_code == 1  # for the one that cannot be read
        assert calibrant(*words, new_pictures).exit_code == 0  # goes on with the others
    lines = [json.loads(line) for line in Path("a.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 13
    assert parquet.read_table("a.parquet").to_pylist() == lines
    assert [{name: "" if value is None else str(value) for name, value in line.items()} for line in lines] == table(
        Path("a.csv")
    )
    assert all(isinstance(line["right_reason"], float) == (line["evidence"] == "yes") for line in lines)


def test_it_says_of_an_image_what_explain_learnt_to_say(calibrant: Any, run: Path, tmp_path: Path) -> None:
    opened = Run.load(run)
    own = Path(opened.record["data"]["name"].removeprefix("folder:"))
    images, boxes = [], []
    for number, file in enumerate(sorted(own.rglob("*.png"))):
        images.append({"id": number, "file_name": str(file.relative_to(own)), "width": 24, "height": 24})
        boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": [number % 12, 0, 12, 20]})
    told = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "it"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(told), encoding="utf-8")
    learning = ["--target", "prediction", "--right-reason", "--threshold", "0.45"]
    explained = calibrant("explain", run, "--masks", "coco:boxes.json", *learning, "--offline", "--json")
    assert explained.exit_code == 0, explained.stderr
    folder = Path(json.loads(explained.stdout)["folder"])
    assert calibrant("classify", run, own, "--to", "a.csv", "--explain", "shown", "--offline").exit_code == 0
    said = {row["file"]: row for row in table(Path("a.csv"))}
    known, maps = table(folder / "images.csv"), HeatMaps.load(folder / "maps.tuned.safetensors")
    fitted = RightReason.load(opened.right_reason_file)
    expected = fitted.predict(
        [float(row["confidence"]) for row in known], HeatMaps(maps.maps, maps.ids, fitted.settings_)
    )
    assert np.isfinite(expected).sum() > 5
    # both tables round the confidence to six digits, which tells where it is nearly 1
    for row, chance in zip(known, expected, strict=True):
        ours = said[str(own / row["id"])]
        assert (ours["answer"], float(ours["confidence"])) == (row["answer"], pytest.approx(float(row["confidence"])))
        assert float(ours["right_reason"] or "nan") == pytest.approx(chance, abs=2e-3, nan_ok=True)


def test_a_model_without_attention_is_told_before_there_are_rows(
    calibrant: Any, model: Path, pictures: Path, new_pictures: Path, tmp_path: Path
) -> None:
    import torch

    import calibrant as cb
    from calibrant.models.checkpoints import CONFIG_NAME, save_model
    from calibrant.models.open_clip_loading import build_network
    from calibrant.storage import read_json

    # the mean of its patches answers, so there is no class token that attends to them
    config = read_json(model / CONFIG_NAME)
    config["model_cfg"]["vision_cfg"]["pool_type"] = "avg"
    torch.manual_seed(0)
    about = {**config["about"], "architecture": config["model_cfg"]}
    save_model(tmp_path / "average", build_network(config["model_cfg"]), config["preprocess_cfg"], about)
    cb.tune("average", f"folder:{pictures}", "zero-shot", output="run", offline=True)
    (new_pictures / "Füchsin" / "a.png").write_bytes(b"no picture")  # the first one has a row without a model
    words = [
        "classify",
        "run",
        new_pictures,
        "--batch-size",
        "1",
        "--explain",
        "shown",
        "--calibrator",
        "none",
        "--offline",
    ]
    result = calibrant(*words, "--to", "a.csv")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert "does not show; take grad-cam" in result.stderr
    assert not Path("a.csv").exists()
    assert not Path("shown").exists()
    assert calibrant(*words, "--to", "b.csv", "--explainer", "grad-cam").exit_code == 1  # for the one that is none
    assert len(list(Path("shown").iterdir())) == 12


def test_nothing_is_read_for_an_explainer_that_does_not_exist(
    calibrant: Any, run: Path, new_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calibrant.data.images.read_image", lambda *_, **__: pytest.fail("an image was read"))
    words = ["--explain", "shown", "--explainer", "oclusion", "--prior", "estimate"]
    result = calibrant("classify", run, new_pictures, "--to", "a.csv", "--offline", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert "did you mean 'occlusion'" in result.stderr


def test_pictures_do_not_come_among_the_images(calibrant: Any, run: Path, new_pictures: Path) -> None:
    for place in (new_pictures, new_pictures / "sky" / "shown"):
        result = calibrant("classify", run, new_pictures, "--to", "a.csv", "--offline", "--explain", place)
        assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
        assert f"among the images of {new_pictures}" in result.stderr
    assert calibrant("classify", run, new_pictures / "sky", "--to", "a.csv", "--explain", new_pictures).exit_code == 0


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
