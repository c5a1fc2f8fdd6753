"""Images that a run was not tuned on: how they are read, which of them count, and which are refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrant.predictions import Predictions
from calibrant.runs import Run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "mein lauf"))


def deep_grey(folder: Path, per_class: int, seed: int) -> Path:
    """Write noisy 16-bit greyscale images of two classes with values below 4096."""
    draw = np.random.default_rng(seed)
    for level, name in ((1000, "faint"), (3000, "bright")):
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            values = level + draw.integers(-900, 900, (24, 24))
            Image.fromarray(values.astype(np.uint16)).save(folder / name / f"{number}.png")
    return folder


def table_of(result: Any) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_16_bit_images_need_a_window_which_other_folders_inherit(
    calibrant: Any, tune_words: list[str], tmp_path: Path
) -> None:
    grey, more = deep_grey(tmp_path / "grey", 15, seed=1), deep_grey(tmp_path / "more", 3, seed=2)
    words = [*tune_words[:2], f"folder:{grey}", *tune_words[3:], "--output", "run"]
    refused = calibrant(*words)
    assert refused.exit_code == 2
    assert "--window 0,4095" in refused.stderr
    assert "LOW,HIGH" in calibrant(*words, "--window", "4095").stderr
    assert "low below high" in calibrant(*words, "--window", "4095,0").stderr
    table_of(calibrant(*words, "--window", "0,4095", "--background", "0,0,0", "--pixel-limit", "1000", "--json"))
    options = Run.load("run").record["data"]["options"]
    assert list(options["window"]) == [0, 4095]
    assert list(options["background"]) == [0, 0, 0]
    assert options["pixel_limit"] == 1000

    assert table_of(calibrant("predict", "run", f"folder:{more}", "--json"))["images"] == 6
    measured = table_of(calibrant("evaluate", "run", "--data", f"folder:{more}", "--json"))
    assert measured["results"][0]["n"] == 6
    before = Run.load("run").stored(f"folder:{more}", "test")
    too_narrow = calibrant("evaluate", "run", "--data", f"folder:{more}", "--window", "0,100")
    assert too_narrow.exit_code == 2
    assert "wider window (--window)" in too_narrow.stderr
    table_of(calibrant("predict", "run", f"folder:{more}", "--window", "0,65535", "--json"))
    after = Run.load("run").stored(f"folder:{more}", "test")
    assert not np.allclose(before.logits, after.logits)
    large = calibrant("predict", "run", f"folder:{more}", "--pixel-limit", "500")
    assert large.exit_code == 2
    assert "--pixel-limit" in large.stderr


def test_all_images_of_another_folder_are_measured(calibrant: Any, run: Path, new_pictures: Path) -> None:
    words = ("evaluate", run, "--data", f"folder:{new_pictures}")
    shown = calibrant(*words)
    assert shown.exit_code == 0, shown.output
    assert "Measured on all 12 images of folder:" in shown.stdout
    predicted = table_of(calibrant("predict", run, f"folder:{new_pictures}", "--json"))
    assert (predicted["images"], predicted["split"]) == (12, "test")
    none = calibrant(*words, "--split", "train")
    assert none.exit_code == 2
    assert "no train images; it has test" in none.stderr


def test_a_folder_with_splits_and_the_tuned_folder_keep_them(
    calibrant: Any, run: Path, new_pictures: Path, pictures: Path, tmp_path: Path
) -> None:
    for split, number in (("train", 0), ("test", 1), ("test", 2)):
        for name in ("sky", "Füchsin"):
            place = tmp_path / "geteilt" / split / name
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(new_pictures / name / f"bild {number} ä.png", place / f"{number}.png")
            if split == "train":
                shutil.copy(new_pictures / name / "bild 3 ä.png", place / "3.png")
    assert table_of(calibrant("predict", run, "folder:geteilt", "--json"))["images"] == 4
    written_otherwise = f"folder:{pictures.parent}/./{pictures.name}"
    assert table_of(calibrant("predict", run, written_otherwise, "--json"))["images"] == 12


def test_bad_images_names_and_templates_have_options_of_their_own(
    calibrant: Any, run: Path, new_pictures: Path
) -> None:
    (new_pictures / "sky" / "kaputt.png").write_bytes(b"no image")
    words = ("predict", run, f"folder:{new_pictures}", "--json")
    assert "kaputt.png" in calibrant(*words).stderr
    first = calibrant(*words, "--on-bad-image", "skip")
    assert table_of(first)["images"] == 12
    plain = Run.load(run).stored(f"folder:{new_pictures}", "test")
    Path("names.csv").write_text("folder,words\nsky,heaven|the sky\n", encoding="utf-8")
    table_of(calibrant(*words, "--on-bad-image", "skip", "--names", "names.csv", "--template", "my {}"))
    named = Run.load(run).stored(f"folder:{new_pictures}", "test")
    assert named.classes == ["Füchsin", "olive green", "heaven"]
    assert named.about["templates"] == ["my {}"]
    assert named.about["words"] == {"heaven": ["heaven", "the sky"]}
    table_of(calibrant(*words, "--on-bad-image", "skip", "--names", "names.csv"))
    again = Run.load(run).stored(f"folder:{new_pictures}", "test")
    assert again.about["templates"] == plain.about["templates"] != ["my {}"]


def test_emoji_scenes_that_were_tuned_on_are_refused(calibrant: Any, model: Path) -> None:
    few_steps = ["--set", "solver.steps=2", "--set", "solver.epochs=null", "--set", "solver.views=1"]
    words = ["tune", model, "emoji/animals", "--method", "coop", "--shots", "1", "--scenes", "12", "--offline"]
    table_of(calibrant(*words, *few_steps, "--output", "run", "--json"))
    opened = Run.load("run")
    assert len(opened.stored("emoji/animals", "test")) == 12
    train = opened.open_data("emoji/animals").split("train")
    used = {row.path for row in opened.read_manifest() if row.used and row.split == "train"}
    chosen = [i for i, one in enumerate(train.ids) if one in used][:5]
    others = [i for i, one in enumerate(train.ids) if one not in used][:7]
    opened.predict(replace(train.subset([*others, *chosen]), split="test", name="emoji/animals/copy"))
    refused = calibrant("evaluate", "run")
    assert refused.exit_code == 2
    assert "5 of 12 images of emoji/animals/copy were tuned on" in refused.stderr
    allowed = calibrant("evaluate", "run", "--allow-seen", "--json")
    assert {one["data"]: one["seen"] for one in table_of(allowed)["results"]} == {
        "emoji/animals": 0,
        "emoji/animals/copy": 5,
    }
    assert "5 of 12 images of emoji/animals/copy were tuned on" in " ".join(allowed.stderr.split())


def test_the_report_marks_images_that_were_tuned_on(calibrant: Any, run: Path, pictures: Path) -> None:
    assert calibrant("report", run, "--to", "fair.html").exit_code == 0
    assert "Not a fair test" not in Path("fair.html").read_text(encoding="utf-8")
    opened = Run.load(run)
    stored = opened.predict(f"folder:{pictures}", "train")
    again = {**stored.about, "data": "folder:again", "split": "test", "data_about": {}}
    fields = {name: getattr(stored, name) for name in ("logits", "labels", "classes", "ids", "columns")}
    Predictions(**fields, about=again).save(opened.predictions_file("folder:again", "test"))
    assert calibrant("report", run, "--to", "flattered.html").exit_code == 0
    page = " ".join(Path("flattered.html").read_text(encoding="utf-8").split())
    assert "was tuned on 15 of the 36 images of folder:again" in page


def test_the_report_reads_only_the_pictures_it_shows(
    calibrant: Any, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the report scans the whole folder")

    monkeypatch.setattr("calibrant.data.labelled_files.scan", refuse)
    result = calibrant("report", run, "--to", "page.html")
    assert result.exit_code == 0, result.output
    assert "data:image/jpeg" in Path("page.html").read_text(encoding="utf-8")


def test_the_report_does_without_a_picture_that_has_gone(
    calibrant: Any, run: Path, new_pictures: Path, tmp_path: Path
) -> None:
    assert calibrant("predict", run, f"folder:{new_pictures}").exit_code == 0
    (new_pictures / "sky" / "bild 0 ä.png").write_bytes(b"no image")
    (new_pictures / "sky" / "bild 1 ä.png").unlink()
    result = calibrant("report", run, "--to", "page.html")
    assert result.exit_code == 0, result.output
    assert "a picture is missing" in result.stderr


def test_the_report_shows_near_duplicates(calibrant: Any, run: Path, pictures: Path) -> None:
    opened = Run.load(run)
    rows = [
        {
            "first": f"sky/bild {number} ä.png",
            "second": f"sky/bild {number + 1} ä.png",
            "first_split": "train",
            "second_split": "train" if number else "test",
        }
        for number in range(14)
    ]
    assert calibrant("report", run, "--to", "none.html").exit_code == 0
    assert "Images that look alike" not in Path("none.html").read_text(encoding="utf-8")
    opened.write_near_duplicates(rows[::-1])
    assert calibrant("report", run, "--to", "page.html").exit_code == 0
    page = " ".join(Path("page.html").read_text(encoding="utf-8").split())
    assert "Images that look alike" in page
    assert "14 pairs look much alike at a small size" in page
    assert "1 of them lies in different splits" in page
    section = page[page.index('<ul class="pairs">') :].partition("</ul>")[0]
    assert section.count("data:image/jpeg") == 24
    assert section.index("sky/bild 0 ä.png (train)") < section.index("sky/bild 1 ä.png (test)")
    assert section.count('class="crossing"') == 1
