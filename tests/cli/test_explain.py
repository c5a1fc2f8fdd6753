"""`calibrant explain`: what a user sees, what is kept in the run, and what is refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrant.rationality import HeatMaps, RightReason, relevance_mass, resized
from calibrant.runs import Run

EDGE = 24  # pixels of the pictures


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run that may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "mein lauf"))


@pytest.fixture
def boxed(new_pictures: Path) -> Path:
    """A manifest of twelve pictures, each with a box of its own."""
    rows = sorted(new_pictures.rglob("*.png"))
    file = new_pictures / "boxes.csv"
    with open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "box"])
        for number, one in enumerate(rows):
            left = number % 8
            writer.writerow([one.relative_to(new_pictures), one.parent.name, f"{left} 2 {left + 12} 20"])
    return file


def explained(calibrant: Any, run: Path, *words: object) -> dict[str, Any]:
    result = calibrant("explain", run, *words, "--offline", "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def folder_of(found: dict[str, Any]) -> Path:
    return Path(found["folder"])


def images_of(found: dict[str, Any]) -> list[dict[str, str]]:
    with open(folder_of(found) / "images.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_numbers_are_those_of_the_maps_and_boxes(calibrant: Any, run: Path, boxed: Path) -> None:
    found = explained(calibrant, run, "--data", f"csv:{boxed}")
    rows = images_of(found)
    assert (found["masks"], found["n"], len(rows)) == (True, 12, 12)
    for model, beginning in (("tuned", ""), ("zero-shot", "zero_shot_")):
        maps = HeatMaps.load(folder_of(found) / f"maps.{model}.safetensors")
        assert [row["id"] for row in rows] == maps.ids
        boxes = np.zeros((12, EDGE, EDGE), bool)
        for number in range(12):
            boxes[number, 2:20, number % 8 : number % 8 + 12] = True
        seen = np.stack([np.array(Image.fromarray(box).resize((32, 32), Image.Resampling.NEAREST)) for box in boxes])
        mass = relevance_mass(resized(maps.maps, (32, 32)), seen)
        right = np.array([row[f"{beginning}answer"] == row["label"] for row in rows])
        known = ~np.isnan(mass)  # weights are random: some maps are empty, and hold no evidence
        assert known.sum() > 5
        said = [float(row[f"{beginning}relevance_mass"] or "nan") for row in rows]
        assert np.allclose(said, mass, atol=1e-6, equal_nan=True)
        valid = mass >= 0.5
        cells = [f"{'R' if a else 'W'}{'R' if b else 'W'}" for a, b in zip(right, valid, strict=True)]
        told = [cell if there else "no evidence" for cell, there in zip(cells, known, strict=True)]
        assert [row[f"{beginning}cell"] for row in rows] == told
        (one,) = [one for one in found["models"] if one["model"] == model]
        value = {name: measure["value"] for name, measure in one["measures"].items() if isinstance(measure, dict)}
        assert value["RR"] == pytest.approx((right & valid)[known].mean())
        assert value["accuracy"] == pytest.approx(right[known].mean())
        assert value["accuracy"] == pytest.approx(value["RR"] + value["RW"])
        assert (value["PT"] or 0) * value["accuracy"] == pytest.approx(value["RR"])
        assert (value["IR"] or 0) * value["valid"] == pytest.approx(value["RR"])
        assert one["measures"]["no_evidence"] == (~known).sum()
        assert one["maps"]["relevance_mass"]["value"] == pytest.approx(mass[known].mean())
    tuned, zero_shot = (one["measures"]["accuracy"]["value"] for one in found["models"])
    assert found["differences"]["accuracy"]["value"] == pytest.approx(tuned - zero_shot)


def test_pictures_show_image_and_map(calibrant: Any, run: Path, boxed: Path) -> None:
    found = explained(calibrant, run, "--data", f"csv:{boxed}")
    files = [one["file"] for one in found["pictures"]]
    assert sorted(files) == sorted(file.name for file in (folder_of(found) / "pictures").iterdir())
    counts = {cell: sum(row["cell"] == cell for row in images_of(found)) for cell in ("RW", "WR", "WW", "RR")}
    assert [one["cell"] for one in found["pictures"]] == [
        cell for cell, most in (("RW", 12), ("WR", 4), ("WW", 4), ("RR", 4)) for _ in range(min(most, counts[cell]))
    ]
    for file in files:
        with Image.open(folder_of(found) / "pictures" / file) as picture:
            assert picture.height >= 192
            assert picture.width == 2 * picture.height + 8


def test_maps_are_kept_until_something_changes(calibrant: Any, run: Path, boxed: Path) -> None:
    first = explained(calibrant, run, "--data", f"csv:{boxed}")
    file = folder_of(first) / "maps.tuned.safetensors"
    made = file.stat().st_mtime_ns
    again = explained(calibrant, run, "--data", f"csv:{boxed}", "--threshold", "0.3")
    assert (file.stat().st_mtime_ns, again["threshold"]) == (made, 0.3)
    assert again["models"][0]["measures"]["valid"]["value"] >= first["models"][0]["measures"]["valid"]["value"]
    before = HeatMaps.load(file)
    explained(calibrant, run, "--data", f"csv:{boxed}", "--score", "margin")
    changed = HeatMaps.load(file)
    assert changed.settings["score"] == "margin"
    assert not np.array_equal(changed.maps, before.maps)
    file.write_bytes(file.read_bytes()[:100])  # as a crash of the machine may leave it
    explained(calibrant, run, "--data", f"csv:{boxed}")
    assert np.array_equal(HeatMaps.load(file).maps, before.maps)
    fewer = explained(calibrant, run, "--data", f"csv:{boxed}", "--images", "5")
    assert (fewer["n"], len(HeatMaps.load(file))) == (5, 5)
    assert set(HeatMaps.load(file).ids) < set(before.ids)


def test_another_explainer_or_target_has_files_of_its_own(calibrant: Any, run: Path, boxed: Path) -> None:
    places = {
        explained(calibrant, run, "--data", f"csv:{boxed}", *words)["folder"]
        for words in ([], ["--method", "grad-eclip"], ["--target", "prediction"])
    }
    assert len(places) == 3
    assert {str(files.path) for files in Run.load(run).explained()} == places


def test_what_the_terminal_says(calibrant: Any, run: Path, boxed: Path) -> None:
    result = calibrant("explain", run, "--data", f"csv:{boxed}", "--offline")
    assert result.exit_code == 0
    for said in ("zero-shot", "tuned - zero-shot", "PT", "IR", "of the relevance lies on the objects", "is no proof"):
        assert said in result.stdout
    assert "nan" not in result.stdout.lower().replace("--", "")


def test_people_judge_where_there_are_no_masks(calibrant: Any, run: Path, new_pictures: Path, tmp_path: Path) -> None:
    data = ["--data", f"folder:{new_pictures}"]
    found = explained(calibrant, run, *data, "--review", "8")
    assert found["masks"] is False
    assert "measures" not in found["models"][0]
    page = Path(found["review"]["page"]).read_text(encoding="utf-8")
    assert (found["review"]["images"], "://" in page) == (8, False)
    asked = json.loads(page.partition('id="review">')[2].partition("</script>")[0])
    files = []
    for reviewer in ("Änne", "Bob"):
        files.append(tmp_path / f"{reviewer}.csv")
        with open(files[-1], "w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["id", "judgement", "reviewer", "settings"])
            writer.writerows([one["id"], "on the object", reviewer, asked["settings"]] for one in asked["shown"])
    named = [word for file in files for word in ("--judgements", file)]
    judged = explained(calibrant, run, *data, *named)["judged"]
    assert (judged["reviewers"], judged["images"]) == (["Änne", "Bob"], 8)
    assert judged["measures"]["valid"]["value"] == 1
    assert judged["measures"]["IR"]["value"] == pytest.approx(judged["measures"]["accuracy"]["value"])
    assert judged["agreement"][0]["same"] == 1
    text = calibrant("explain", run, *data, *named, "--offline").stdout
    assert "Judged by Änne, Bob: 8 images" in text
    assert "has no object masks" in text
    other = calibrant("explain", run, *data, "--method", "grad-eclip", *named, "--offline")
    assert (other.exit_code, other.stderr.count("\n")) == (2, 1)
    assert "judged on other heat maps" in other.stderr


def test_confidence_for_the_right_reason_is_learnt_and_kept(calibrant: Any, run: Path, boxed: Path) -> None:
    opened = Run.load(run)
    own = opened.record["data"]["name"].removeprefix("folder:")
    coco = boxed.parent / "own.json"
    files = sorted(Path(own).rglob("*.png"))
    images = [
        {"id": number, "file_name": str(one.relative_to(own)), "width": EDGE, "height": EDGE}
        for number, one in enumerate(files)
    ]
    boxes = [
        {"id": number, "image_id": number, "category_id": 1, "bbox": [number % 12, 0, 12, 20], "area": 240}
        for number in range(len(files))
    ]
    coco.write_text(json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "it"}]}))
    masks = ["--masks", f"coco:{coco}"]
    found = explained(calibrant, run, *masks, "--target", "prediction", "--right-reason", "--threshold", "0.45")
    learnt = RightReason.load(run / "right_reason.json")
    assert learnt.settings_["target"] == "prediction"
    assert "images" not in learnt.settings_
    assert found["right_reason"]["n"] == found["n"]
    rows = images_of(found)
    assert found["right_reason"]["rate"] == pytest.approx(np.mean([row["cell"] == "RR" for row in rows]))
    assert 0 <= found["right_reason"]["ece_right_reason"] <= 1


def test_an_explainer_is_checked_on_the_model(calibrant: Any, run: Path, boxed: Path) -> None:
    words = ["--data", f"csv:{boxed}", "--sanity", "6"]
    checked = explained(calibrant, run, *words)["sanity"]
    assert (checked["images"], checked["not_for_this_model"]) == (6, [])
    assert set(checked["agreement"]) == {"grad-eclip", "grad-cam", "legrad"}
    told = [checked["randomised"], checked["another_class"], *checked["agreement"].values()]
    assert all(-1 <= one["value"] <= 1 for one in told)
    # a map that never looks stays the same whatever the weights, and its order of pixels gains nothing
    blind = explained(calibrant, run, *words, "--method", "uniform")["sanity"]
    assert (blind["deletion"]["value"], blind["insertion"]["value"]) == (0, 0)
    assert (blind["randomised"]["value"], blind["another_class"]["value"]) == (1, 1)
    text = calibrant("explain", run, *words, "--offline").stdout
    assert "Checked on 6 images" in text
    assert "agreement with grad-cam: " in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "atention-gradient"], "did you mean 'attention-gradient'"),
        (["--score", "cosin"], "did you mean 'cosine'"),
        (["--target", "labels"], "did you mean 'label'"),
        (["--layers", "some"], "--layers takes last, all or FIRST,END, not 'some'"),
        (["--layers", "0,9"], "layers"),
        (["--set", "window=3"], "explainer 'attention-gradient'"),
        (["--right-reason"], "add --target prediction"),
        (["--right-reason", "--target", "prediction"], "needs object masks"),
        (["--review", "5", "--target", "prediction"], "people judge maps of the label"),
        (["--data", "folder:nowhere"], "nowhere"),
    ],
)
def test_bad_input_gets_one_line(calibrant: Any, run: Path, words: list[str], said: str) -> None:
    result = calibrant("explain", run, *words, "--offline")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1), result.stderr
    assert said in result.stderr
    assert not (run / "right_reason.json").exists()


def test_images_that_were_tuned_on_are_refused(calibrant: Any, run: Path) -> None:
    result = calibrant("explain", run, "--split", "train", "--offline")
    assert result.exit_code == 2
    assert "tuned on" in result.stderr
    assert calibrant("explain", run, "--split", "train", "--allow-seen", "--offline").exit_code == 0


def test_a_mask_of_another_size_is_named(calibrant: Any, run: Path, boxed: Path) -> None:
    Image.new("L", (5, 5), 255).save(boxed.parent / "mask.png")
    rows = [line.rsplit(",", 1)[0] for line in boxed.read_text(encoding="utf-8").splitlines()[1:]]
    boxed.write_text("\n".join(["path,label,mask", *(f"{row},mask.png" for row in rows)]), encoding="utf-8")
    result = calibrant("explain", run, "--data", f"csv:{boxed}", "--offline")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "mask.png" in result.stderr


def test_explainers_are_listed(calibrant: Any) -> None:
    rows = json.loads(calibrant("list", "explainers", "--json").stdout)
    by_name = {row["name"]: row for row in rows}
    assert by_name["attention-gradient"]["explains"] is True
    assert by_name["mask-clip"]["explains"] is False
    assert "window=None" in by_name["occlusion"]["parameters"]


def test_the_report_shows_what_was_explained_by_the_model_as_it_is(
    calibrant: Any, run: Path, boxed: Path, tmp_path: Path
) -> None:
    def page() -> str:
        assert calibrant("report", run, "--to", "report.html").exit_code == 0
        return (tmp_path / "report.html").read_text(encoding="utf-8")

    heading = "Right for the right reason?"
    assert heading not in page()
    found = explained(calibrant, run, "--data", f"csv:{boxed}")
    shown = page()
    assert heading in shown
    assert shown.count('alt="Image of') >= len(found["pictures"])
    file = folder_of(found) / "measures.json"
    measured = json.loads(file.read_text(encoding="utf-8"))
    measured["settings"]["weights"] = "of another tuning"
    file.write_text(json.dumps(measured), encoding="utf-8")
    assert heading not in page()
