"""Each layout as its source publishes it, from `load_data` to the masks of an evaluation set."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import ExifTags, Image

from calibrant.data.registry import load_data
from calibrant.data.splits import few_shot
from calibrant.errors import CalibrantWarning, InputError

SIDE = 24
RECTANGLE = np.zeros((SIDE, SIDE), dtype=bool)
RECTANGLE[4:10, 2:20] = True
CIRCLE = np.hypot(*(np.mgrid[:SIDE, :SIDE] - 12)) < 6


@pytest.fixture
def pets(tmp_path, class_folders):
    """A folder of test images: test/cat/000.png, test/cat/001.png, test/dog/000.png, test/dog/001.png."""
    return class_folders(tmp_path / "pets", {"test/cat": 2, "test/dog": 2})


def _xml(*objects: tuple[str, tuple[object, ...]], size: tuple[int, int] = (SIDE, SIDE)) -> str:
    boxes = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in objects
    )
    sides = f"<width>{size[0]}</width><height>{size[1]}</height><depth>3</depth>"
    return f"<annotation><size>{sides}</size>{boxes}</annotation>"


def _voc(folder, **texts):
    for name, text in texts.items():
        file = folder / "Annotations" / f"{name.replace('__', '/')}.xml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return f"voc:{folder}"


def _full_voc(folder):
    other = ("person", (1, 1, 2, 2))
    return _voc(
        folder,
        cat__000=_xml(("Cat", (3, 5, 20, 10)), other),
        cat__001=_xml(("cat", (1, 1, 24, 24))),
        dog__000=_xml(("dog", (1, 1, 3.5, 4)), ("dog", (21, 21, 24, 24))),
        dog__001=_xml(other, ("dog", (0, 0, 9, 9)), size=(0, 0)),
    )


def test_voc_boxes_of_the_images_class(tmp_path, pets) -> None:
    test = load_data(f"folder:{pets}", masks=_full_voc(tmp_path / "VOC2012")).split("test")
    assert test.ids == ["test/cat/000.png", "test/cat/001.png", "test/dog/000.png", "test/dog/001.png"]
    assert np.array_equal(test.masks[0], RECTANGLE)
    assert test.masks[1].all()
    corners = np.zeros((SIDE, SIDE), dtype=bool)
    corners[:4, :3] = corners[20:, 20:] = True
    assert np.array_equal(test.masks[2], corners)
    assert test.columns["object_area"].tolist() == [108, 576, 28, 81]
    np.testing.assert_allclose(test.columns["object_share"], np.array([108, 576, 28, 81]) / 576)
    assert "mask" not in test.columns
    chosen = test.subset(few_shot(test.labels, 1, seed=1)).subset([1])
    assert np.array_equal(chosen.masks[0], test.masks[test.ids.index(chosen.ids[0])])
    assert test.about["masks"] == f"4 masks from voc:{tmp_path / 'VOC2012'}, for the pixels as stored"


def test_coco_polygons_runs_and_boxes(tmp_path, pets) -> None:
    lengths = np.flatnonzero(np.diff(np.concatenate([[0], CIRCLE.T.ravel(), [0]])))
    counts = np.diff(np.concatenate([[0], lengths, [SIDE * SIDE]])).tolist()
    polygon = [[2, 4, 20, 4, 20, 10, 2, 10], [0, 20, 4, 20, 4, 24, 0, 24]]
    names = ["cat/000.png", "cat/001.png", "dog/000.png", "dog/001.png"]
    coco = {
        "images": [{"id": 10 + i, "file_name": name, "height": SIDE, "width": SIDE} for i, name in enumerate(names)],
        "annotations": [
            {"id": 1, "image_id": 10, "category_id": 17, "segmentation": polygon, "bbox": [0, 0, 24, 24]},
            {"id": 2, "image_id": 11, "category_id": 17, "segmentation": {"size": [SIDE, SIDE], "counts": counts}},
            {"id": 3, "image_id": 11, "category_id": 18, "bbox": [0, 0, 24, 24]},
            {"id": 4, "image_id": 12, "category_id": 18, "segmentation": [], "bbox": [2, 4, 18, 6.0]},
            {"id": 5, "image_id": 13, "category_id": 18, "segmentation": {"size": [24, 24], "counts": "00PB"}},
        ],
        "categories": [{"id": 17, "name": "cat"}, {"id": 18, "name": "dog"}],
    }
    coco["annotations"][4]["segmentation"]["counts"] = "0Pb0"  # the object is everything: 0, then 576
    file = tmp_path / "instances_val2017.json"
    file.write_text(json.dumps(coco))
    masks = load_data(f"folder:{pets}", masks=f"coco:{file}").split("test").masks
    both = RECTANGLE.copy()
    both[20:, :4] = True
    for i, expected in enumerate((both, CIRCLE, RECTANGLE, np.ones_like(CIRCLE))):
        assert np.array_equal(masks[i], expected), i


def test_cub_segmentations(tmp_path, class_folders) -> None:
    folders = ("001.Black_footed_Albatross", "002.Laysan_Albatross")
    images = class_folders(tmp_path / "CUB_200_2011" / "images", dict.fromkeys(folders, 5))
    for image in images.rglob("*.png"):
        file = tmp_path / "segmentations" / image.relative_to(images)
        file.parent.mkdir(parents=True, exist_ok=True)
        votes = CIRCLE * np.uint8(102) + RECTANGLE * np.uint8(153)
        Image.fromarray(votes).save(file)
    data = load_data(f"folder:{images}", masks=f"cub:{tmp_path}")
    for split in data.splits:
        assert all(np.array_equal(mask, RECTANGLE) for mask in data.split(split).masks)


def test_imagenets_table_and_its_files(tmp_path, class_folders) -> None:
    names = tmp_path / "names.csv"
    names.write_text("folder,words\nn01440764,tench\nn02102040,springer\n")
    images = class_folders(tmp_path / "images", {f"test/{name}": 2 for name in ("n01440764", "n02102040")})
    rows, files = ["ImageId,PredictionString"], tmp_path / "Annotations" / "CLS-LOC" / "val"
    files.mkdir(parents=True)
    for i, image in enumerate(sorted(images.rglob("*.png"))):
        number = f"ILSVRC2012_val_{i:08}"
        label = image.parent.name
        image.rename(image.with_name(f"{number}.png"))
        rows.append(f"{number},{label} 2 4 20 10 n09999999 0 0 24 24 ")
        (files / f"{number}.xml").write_text(_xml((label, (2, 4, 20, 10))))
    (tmp_path / "LOC_val_solution.csv").write_text("\n".join([*rows, "ILSVRC2012_val_00049999,n01440764 1 1 2 2"]))
    for source in ("LOC_val_solution.csv", ".", "Annotations/CLS-LOC"):
        masks = load_data(f"folder:{images}", masks=f"imagenet:{tmp_path / source}", names=names).split("test").masks
        assert all(np.array_equal(mask, RECTANGLE) for mask in masks), source


def test_the_fingerprint_follows_masks_and_the_split_does_not(tmp_path, pets, class_folders) -> None:
    plain = load_data(f"folder:{pets}").split("test")
    source = _full_voc(tmp_path / "boxes")
    with_masks = load_data(f"folder:{pets}", masks=source).split("test")
    assert plain.masks is None
    assert "object_area" not in plain.columns
    _voc(tmp_path / "boxes", cat__000=_xml(("cat", (3, 5, 20, 11))))
    moved = load_data(f"folder:{pets}", masks=source).split("test")
    assert len({plain.fingerprint, with_masks.fingerprint, moved.fingerprint}) == 3
    whole = class_folders(tmp_path / "more", dict.fromkeys(("ant", "bee", "cat", "dog"), 10), seed=50)
    boxes = _voc(
        tmp_path / "some",
        **{
            f"{name}__{i:03}": _xml(("a thing", (1, 1, 9, 9)))
            for name in ("ant", "bee", "cat", "dog")
            for i in range(9)
        },
    )
    before = load_data(f"folder:{whole}")
    with pytest.warns(CalibrantWarning, match=r"4 of 40 images are left out, since .* ant/009.png: has no mask"):
        after = load_data(f"folder:{whole}#base", masks=boxes, on_bad_mask="skip")
    assert len(after.about["left_out"]) == 4
    for split in before.splits:
        kept = [name for name in before.split(split).ids if name[0] in "ab" and "009" not in name]
        assert after.split(split).ids == kept
        assert after.split(split).masks[0].sum() == 81


def test_a_split_may_have_no_masks_at_all(tmp_path, class_folders) -> None:
    root = class_folders(
        tmp_path / "pets", {f"{split}/{name}": 5 for split in ("train", "test") for name in ("ant", "bee")}
    )
    texts = {f"test__{name}__{i:03}": _xml(("", (1, 1, 9, 9))) for name in ("ant", "bee") for i in range(5)}
    data = load_data(f"folder:{root}", masks=_voc(tmp_path / "boxes", **texts))
    assert data.split("test").masks[9].sum() == 81
    for split in ("train", "validation"):
        assert data.split(split).masks is None
        assert "object_area" not in data.split(split).columns
        assert data.split(split).fingerprint == load_data(f"folder:{root}").split(split).fingerprint


def test_boxes_refer_to_stored_pixels_unless_said_otherwise(tmp_path, save) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    for i, name in enumerate(("cat", "dog")):
        file = save(tmp_path / "pets" / "test" / name / f"{name}.png", i)
        wide = Image.fromarray(np.where(RECTANGLE[:12, :, None], [255, 0, 0], [0, 9 * i, 99]).astype(np.uint8))
        wide.save(file, exif=exif)
    stored = {name: _xml((name, (3, 5, 20, 10)), size=(24, 12)) for name in ("cat", "dog")}
    upright = {name: _xml((name, (3, 3, 8, 20)), size=(12, 24)) for name in ("cat", "dog")}
    folder = f"folder:{tmp_path / 'pets'}"
    for options in (
        {"masks": _voc(tmp_path / "stored", **stored)},
        {"masks": _voc(tmp_path / "upright", **upright), "mask_grid": "upright"},
    ):
        test = load_data(folder, **options).split("test")
        assert test.images[0].shape == (24, 12, 3)
        assert np.array_equal(test.masks[0], test.images[0][:, :, 0] == 255)
    with pytest.raises(
        InputError, match=r"cat.xml is about 12 x 24 pixels, but .* 24 x 12; EXIF .*--mask-grid upright"
    ):
        load_data(folder, masks=f"voc:{tmp_path / 'upright'}")
    with pytest.raises(InputError, match="unknown mask_grid 'up'"):
        load_data(folder, masks=f"voc:{tmp_path / 'upright'}", mask_grid="up")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_xml(("cat", (20, 5, 3, 10))), r"cat/000.png: .*000.xml: box 19 4 3 10: right \(3\) must be greater"),
        (_xml(("cat", (3, 5, 30, 10))), r"cat/000.png: .*000.xml: box .* lies outside the image: .* 24 x 24 pixels"),
        (_xml(("cat", (3, 5, "?", 10))), r"000.xml: object 'cat' has a box that is not four numbers: .*xmax '\?'"),
        (_xml(("cat", (3, 5, 9, 10)), size=(25, 24)), r"cat/000.png: .*000.xml is about 25 x 24 pixels, but the image"),
        (_xml(("dog", (3, 5, 9, 10))), "000.xml: no object is called 'cat', only 'dog'"),
        (_xml(), "cat/000.png: has no mask"),
        (_xml(("cat", (3.3, 5, 2.4, 10))), "cat/000.png: .*000.xml: its mask is empty"),
        ("<annotation>", "000.xml: it is not an annotation in XML"),
    ],
)
def test_bad_annotations_fail_or_are_skipped(tmp_path, pets, text, message) -> None:
    source = _full_voc(tmp_path / "boxes")
    _voc(tmp_path / "boxes", cat__000=text)
    with pytest.raises(InputError, match=message) as caught:
        load_data(f"folder:{pets}", masks=source)
    assert "the masks of 1 of 4 images cannot be used" in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.warns(CalibrantWarning, match=message):
        test = load_data(f"folder:{pets}", masks=source, on_bad_mask="skip").split("test")
    assert len(test) == len(test.masks) == 3


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ("vok:boxes", "unknown layout of masks 'vok'; did you mean 'voc'"),
        ("boxes.json", "unknown layout of masks 'boxes.json'"),
        ("voc:", "masks 'voc:' has no path; write one of coco:FILE.json"),
        ("voc:nowhere", "nowhere is missing"),
        ("voc:.", "holds no XML files"),
        ("cub:nowhere", "nowhere is missing"),
        ("coco:nowhere.json", "cannot read nowhere.json"),
        ("imagenet:nowhere.csv", "cannot read nowhere.csv"),
        ("coco:list.json", "not a COCO file of instances, but a list"),
        ("coco:half.json", "not a COCO file of instances: .* it has no 'annotations'"),
        ("coco:text.json", "text.json is not a JSON file"),
        ("coco:none.json", "has 0 annotations but none of an image"),
        (
            "coco:other.json",
            "has 1 annotations, such as 'x.jpg', but none of an image of the data, such as 'test/cat/000.png'",
        ),
        ("coco:wrong.json", "wrong.json, image 'cat/000.png': box 0 0 99 1 lies outside"),
        ("coco:flat.json", "flat.json, image 'cat/000.png': annotation 6: box 3 0 3 1: right"),
        ("coco:bare.json", "image 'cat/000.png': annotation 7 is not of COCO's format; it has no 'bbox'"),
    ],
)
def test_sources_that_cannot_be_used(tmp_path, pets, monkeypatch, masks, message) -> None:
    monkeypatch.chdir(tmp_path)
    image = {"id": 1, "file_name": "x.jpg"}
    cat = image | {"file_name": "cat/000.png"}
    far = {"id": 5, "image_id": 1, "category_id": 1, "bbox": [0, 0, 99, 1]}
    for name, content in {
        "list": [],
        "half": {"images": []},
        "none": {"images": [], "annotations": []},
        "other": {"images": [image], "annotations": []},
        "wrong": {"images": [cat], "annotations": [far]},
        "flat": {"images": [cat], "annotations": [far | {"id": 6, "bbox": [3, 0, 0, 1]}]},
        "bare": {"images": [cat], "annotations": [{"id": 7, "image_id": 1}]},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(InputError, match=message) as caught:
        load_data(f"folder:{pets}", masks=masks)
    assert "\n" not in str(caught.value)
