"""Pictures of answers to a user's images, and what stands beside them in the table."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from small_towers import CLASSES, TARGETS, tuned

from calibrant.errors import CalibrantWarning, InputError
from calibrant.rationality import HeatMaps, RightReason
from calibrant.rationality.illustrating import Illustrator
from calibrant.rationality.overlays import side_by_side
from calibrant.rationality.way import Way

DEPENDS = {"weights": "w", "prompts": "p"}
CONFIDENCE = np.array([0.4, 0.9, 0.6])
FILES = [Path("cats/1.png"), Path("dogs/1.png"), Path("dogs/1.jpg")]


def images() -> list[np.ndarray]:
    return list(np.random.default_rng(3).integers(0, 255, (3, 40, 50, 3)).astype(np.uint8))


def maps_by(way: Way, **depends: str) -> HeatMaps:
    made = {**DEPENDS, "of": "tuned", **depends}
    return way.explain(tuned(), images(), TARGETS, made, classes=CLASSES, ids=[str(file) for file in FILES])


def learnt(way: Way, **depends: str) -> RightReason:
    """Fit on drawn numbers, as if on maps of this way."""
    draw = np.random.default_rng(0)
    settings = maps_by(way, confidence="temperature", **depends).settings
    maps = HeatMaps(draw.random((100, 4, 4)), [str(number) for number in range(100)], settings)
    return RightReason().fit(draw.random(100), maps, draw.random(100) < 0.5, draw.random(100))


def illustrator(folder: Path, explainer: str = "grad-eclip", fitted: RightReason | None = None) -> Illustrator:
    return Illustrator(folder, Way(explainer, target="prediction"), tuned(), DEPENDS, "temperature", fitted)


def drawn(one: Illustrator, files: list[Path] = FILES) -> list[dict[str, Any]]:
    return one.rows(files, images(), TARGETS, CONFIDENCE, CLASSES)


def test_each_image_has_its_own_picture_of_its_answer(tmp_path: Path) -> None:
    rows = drawn(illustrator(tmp_path / "new" / "shown"))
    places = [Path(row["overlay"]) for row in rows]
    assert len(set(places)) == 3
    assert {place.parent for place in places} == {tmp_path / "new" / "shown"}
    assert all(place.name.startswith("1-") for place in places)
    maps = maps_by(Way("grad-eclip", target="prediction"))
    for image, heat_map, place in zip(images(), maps.maps, places, strict=True):
        with Image.open(place) as picture:
            expected = side_by_side(tuned().encoder.preprocessing.seen(image), heat_map)
            assert np.abs(np.asarray(picture, float) - expected).mean() < 4  # a compressed picture of noise
    assert [row["evidence"] for row in rows] == ["yes" if shows else "no" for shows in maps.evidence]
    assert all(set(row) == {"overlay", "evidence"} for row in rows)


def test_pictures_that_are_drawn_again_replace_the_old_ones(tmp_path: Path) -> None:
    first = drawn(illustrator(tmp_path))
    Path(first[0]["overlay"]).write_bytes(b"cut off by a cra")
    assert drawn(illustrator(tmp_path)) == first
    Image.open(first[0]["overlay"]).verify()
    assert len(list(tmp_path.iterdir())) == 3  # nothing half-written is left


def test_names_that_are_long_or_no_text_get_pictures(tmp_path: Path) -> None:
    long = ["ü" * 120, "x" * 250, os.fsdecode(b"a\xff")]
    rows = drawn(illustrator(tmp_path), [Path(f"{name}.png") for name in long])
    assert all(Path(row["overlay"]).is_file() for row in rows)


def test_the_right_reason_is_predicted_of_map_and_confidence(tmp_path: Path) -> None:
    way = Way("grad-eclip", target="prediction")
    fitted = learnt(way)
    one = illustrator(tmp_path, fitted=fitted)
    assert one.columns == ("overlay", "evidence", "right_reason")
    expected = fitted.predict(CONFIDENCE, maps_by(way, confidence="temperature"))
    rows = drawn(one)
    # one of the maps of these random weights is empty: nothing is said of it, and its picture is there all the same
    assert [row["evidence"] for row in rows] == ["yes", "no", "yes"]
    assert [row["right_reason"] for row in rows] == [
        None if np.isnan(chance) else round(float(chance), 6) for chance in expected
    ]
    assert rows[1]["right_reason"] is None
    assert Path(rows[1]["overlay"]).is_file()


@pytest.mark.parametrize(
    ("explainer", "depends", "said"),
    [
        ("grad-eclip", {"confidence": "isotonic"}, "another calibrator or prior;"),
        ("grad-cam", {}, "another explainer;"),
        ("grad-eclip", {"weights": "others", "prompts": "others"}, "another model and another set of class prompts;"),
    ],
)
def test_what_was_learnt_otherwise_is_left_out(
    tmp_path: Path, explainer: str, depends: dict[str, str], said: str
) -> None:
    fitted = learnt(Way(explainer, target="prediction"))
    fitted.settings_ |= depends
    with pytest.warns(CalibrantWarning, match="right_reason is left out") as caught:
        one = illustrator(tmp_path, fitted=fitted)
    assert said in str(caught[0].message)
    assert one.columns == ("overlay", "evidence")
    assert one.identity() == illustrator(tmp_path).identity()
    assert all("right_reason" not in row for row in drawn(one))


def test_layers_read_from_a_file_are_the_same_layers(tmp_path: Path) -> None:
    way = Way(target="prediction", layers=(0, 3))
    learnt(way).save(tmp_path / "learnt.json")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one = Illustrator(tmp_path, way, tuned(), DEPENDS, "temperature", RightReason.load(tmp_path / "learnt.json"))
    assert all(0 < row["right_reason"] < 1 for row in drawn(one))


def test_the_label_is_not_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label of images that are classified is unknown"):
        Illustrator(tmp_path, Way(), tuned(), DEPENDS, "temperature")
