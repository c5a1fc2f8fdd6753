"""Manifests that say in columns where the object is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from calibrant.data.registry import load_data, load_for_testing
from calibrant.errors import CalibrantWarning, InputError

BOX = np.zeros((24, 24), dtype=bool)
BOX[2:6, 1:9] = True


@pytest.fixture
def manifest(tmp_path, save):
    """Write a manifest about four pictures, of which the first two are cats."""
    for i in range(4):
        save(tmp_path / "images" / f"{i}.png", i)

    def write(header: str, *rows: str) -> str:
        lines = [
            f"images/{i}.png,{label},test,{row}"
            for i, (label, row) in enumerate(zip(("cat", "cat", "dog", "dog"), rows, strict=True))
        ]
        (tmp_path / "list.csv").write_text("\n".join([f"path,label,split,{header}", *lines]) + "\n")
        return f"csv:{tmp_path / 'list.csv'}"

    return write


def test_pictures_polygons_and_boxes(tmp_path, manifest) -> None:
    Image.fromarray(BOX).save(tmp_path / "mask.png")
    polygon, boxes = "1 2 9 2 9 6 1 6", "1 2 9 4; 1 4 9 6"
    name = manifest(
        "mask,box,polygon,site",
        f"mask.png,0 0 1 1,{polygon},Rome",
        f",0 0 1 1,{polygon},",
        f",{boxes},,",
        f",{boxes},,",
    )
    test = load_data(name).split("test")
    assert all(np.array_equal(mask, BOX) for mask in test.masks)
    assert set(test.columns) == {"site", "content", "object_area", "object_share"}
    assert test.about["masks"].startswith("4 masks from the manifest")
    ignored = load_data(name, masks="none").split("test")
    assert ignored.masks is None
    assert set(ignored.columns) == {"site", "content"}


def test_an_image_of_none_of_the_classes_needs_no_mask(tmp_path, manifest) -> None:
    name = manifest("box", "1 2 9 6", "1 2 9 6", "1 2 9 6", "")
    text = (tmp_path / "list.csv").read_text().replace("3.png,dog", "3.png,")
    (tmp_path / "list.csv").write_text(text)
    test = load_for_testing(name).split("test")
    assert test.labels.tolist() == [0, 0, 1, -1]
    assert test.columns["object_area"].tolist() == [32, 32, 32, 0]
    assert not test.masks[3].any()


def test_images_without_masks(manifest) -> None:
    with (
        pytest.warns(CalibrantWarning),
        pytest.raises(InputError, match=r"no image has a mask .*, such as images/0.png"),
    ):
        load_data(manifest("box", *["0 0 99 99"] * 4), on_bad_mask="skip")
    name = manifest("box", "1 2 9 6", "", "1 2 9 6", "")
    with pytest.raises(
        InputError, match=r"masks of 2 of 4 .*: images/1.png: has no mask; images/3.png: .*--on-bad-mask"
    ):
        load_data(name)
    with pytest.raises(InputError, match="choice for on_bad_mask 'skp'; did you mean 'skip'"):
        load_data(name, on_bad_mask="skp")
    with pytest.warns(CalibrantWarning, match="2 of 4 images are left out"):
        test = load_data(name, on_bad_mask="skip").split("test")
    assert test.ids == ["images/0.png", "images/2.png"]
    assert test.labels.tolist() == [0, 1]
    assert test.about["left_out"] == ["images/1.png: has no mask", "images/3.png: has no mask"]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        (
            "box",
            "9 2 1 6",
            r"images/0.png: .*list.csv, line 2: box 9 2 1 6: right \(1\) must be greater than left \(9\)",
        ),
        ("box", "1 2 9", "line 2: box '1 2 9' must be four numbers"),
        ("box", "shelf 3", "box 'shelf 3' is not made of numbers .*give it another name"),
        ("box", "1 2 26 6", "line 2: box 1 2 26 6 lies outside the image"),
        ("polygon", "1 2 9 2 9", "must be pairs of numbers"),
        ("polygon", "1 2 9 2", "three corners"),
        ("mask", "mask.png", "line 2: there is no mask .*mask.png"),
        ("mask", "small.png", "line 2: mask .*small.png has 12 x 24 pixels, but the image has 24 x 24"),
        ("boxx", "1 2 9 6", "column 'boxx' is not known; did you mean 'box'"),
        ("object_area,box", "5,1 2 9 6", "fills a column 'object_area' itself"),
    ],
)
def test_columns_that_cannot_be_used(tmp_path, manifest, header, row, message) -> None:
    Image.fromarray(BOX[:, :12]).save(tmp_path / "small.png")
    name = manifest(header, row, *[row.replace("9 2 1", "1 2 9")] * 3)
    with pytest.raises(InputError, match=message) as caught:
        load_data(name)
    assert "\n" not in str(caught.value)
