"""Folders and manifests, from `load_data` to evaluation sets, and every way in which they can be wrong."""

from __future__ import annotations

import shutil
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from calibrant.data.registry import list_data, load_data, load_for_testing
from calibrant.errors import CalibrantWarning, InputError


def _csv(folder: Path, *lines: str) -> str:
    file = folder / "list.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return f"csv:{file}"


def test_class_folders_are_split_in_three(tmp_path, class_folders, picture):
    root = class_folders(tmp_path / "Tiere im Bild", {"red_fox": 10, "Füchschen": 10})
    (root / ".hidden").mkdir()
    (root / "red_fox" / ".DS_Store").touch()
    data = load_data(f"folder:{root}")
    assert data.classes == ["Füchschen", "red fox"]
    assert data.templates == ["a photo of a {}."]
    assert data.splits == ("train", "validation", "test")
    assert [np.bincount(data.split(s).labels).tolist() for s in data.splits] == [[6, 6], [2, 2], [2, 2]]
    train = data.split("train")
    seed = int(Path(train.ids[0]).stem)
    assert train.ids[0].startswith("Füchschen/")
    assert np.array_equal(train.images[0], picture(seed + 10))
    rows = data.manifest()
    assert len({row["content"] for row in rows}) == len({row["path"] for row in rows}) == 20
    assert {row["label"] for row in rows} == {"Füchschen", "red fox"}


def test_the_seed_decides_the_split_and_the_place_does_not(tmp_path, class_folders):
    root = class_folders(tmp_path / "a", {"ant": 10, "bee": 10})
    shutil.copytree(root, tmp_path / "b")
    first, moved = (load_data(f"folder:{tmp_path / name}").split("train") for name in "ab")
    other = load_data(f"folder:{root}", seed=2).split("train")
    assert first.ids == moved.ids
    assert first.fingerprint == moved.fingerprint
    assert first.ids != other.ids
    assert first.fingerprint != other.fingerprint


def test_the_fingerprint_follows_pixels_and_names(tmp_path, class_folders, save):
    root = class_folders(tmp_path / "pets", {"test/ant": 2, "test/bee": 2})
    before = load_data(f"folder:{root}").split("test").fingerprint
    names = tmp_path / "names.csv"
    names.write_text("folder,words\nant,worker ant|ant\n")
    named = load_data(f"folder:{root}", names=names)
    assert named.classes == ["worker ant", "bee"]
    assert named.words == {"worker ant": ("worker ant", "ant")}
    assert named.split("test").fingerprint != before
    save(root / "test" / "bee" / "000.png", 99)
    assert load_data(f"folder:{root}").split("test").fingerprint != before


def test_split_folders_are_kept(tmp_path, class_folders):
    root = class_folders(tmp_path, {f"{s}/{c}": 3 for s in ("Train", "val", "test") for c in ("ant", "bee")})
    data = load_data(f"folder:{root}")
    assert data.about["split"] == "given"
    for split, folder in (("train", "Train"), ("validation", "val"), ("test", "test")):
        assert all(name.startswith(f"{folder}/") for name in data.split(split).ids)
        assert len(data.split(split)) == 6


def test_validation_comes_from_train_where_it_is_missing(tmp_path, class_folders):
    root = class_folders(tmp_path, {f"{s}/{c}": 10 for s in ("train", "test") for c in ("ant", "bee")})
    data = load_data(f"folder:{root}")
    assert [len(data.split(s)) for s in data.splits] == [16, 4, 20]
    assert "fifth" in data.about["split"]


def test_a_shifted_set_has_only_test(tmp_path, class_folders):
    data = load_data(f"folder:{class_folders(tmp_path, {'test/ant': 2, 'test/bee': 2})}")
    assert data.splits == ("test",)
    with pytest.raises(InputError, match="has no train images; it has test"):
        data.split("train")
    with pytest.raises(InputError, match="unknown split 'tets'; did you mean 'test'"):
        data.split("tets")


def test_validation_has_two_parts(tmp_path, class_folders):
    data = load_data(f"folder:{class_folders(tmp_path, {'ant': 20, 'bee': 20})}")
    parts = data.split("validation").columns["part"]
    for label in (0, 1):
        chosen = parts[data.split("validation").labels == label]
        assert sorted(chosen) == ["choice"] * 2 + ["threshold"] * 2
    assert "part" not in data.split("train").columns


def test_base_and_new_are_halves_with_their_own_labels(tmp_path, class_folders):
    root = class_folders(tmp_path / "pets", dict.fromkeys(("d", "c", "b", "a", "e"), 5))
    for name in "abcde":
        (root / name).rename(root / f"{name}{name}")
    whole, base, new = (load_data(f"folder:{root}{half}") for half in ("", "#base", "#new"))
    assert base.classes == ["aa", "bb", "cc"]
    assert new.classes == ["dd", "ee"]
    assert sorted(set(new.split("test").labels)) == [0, 1]
    for split in whole.splits:
        assert sorted(base.split(split).ids + new.split(split).ids) == whole.split(split).ids
    assert base.name == f"folder:{root}#base"


def test_a_path_may_end_like_a_half(tmp_path, class_folders):
    root = class_folders(tmp_path / "odd#base", {"ant": 5, "bee": 5})
    assert load_data(f"folder:{root}/").classes == ["ant", "bee"]


def test_too_few_classes_for_halves(tmp_path, class_folders):
    root = class_folders(tmp_path, {"ant": 5, "bee": 5, "cat": 5})
    with pytest.raises(InputError, match="#new would have a single class"):
        load_data(f"folder:{root}#new")


@pytest.mark.parametrize("kind", ["broken", "truncated"])
def test_bad_images_fail_or_are_skipped_by_name_and_count(tmp_path, class_folders, kind):
    root = class_folders(tmp_path, {"ant": 6, "bee": 6})
    file = root / "ant" / "002.png"
    file.write_bytes(b"no image" if kind == "broken" else file.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"1 of 12 images cannot be used: .*002\.png: .*--on-bad-image skip"):
        load_data(f"folder:{root}")
    with pytest.warns(CalibrantWarning, match=r"1 of 12 images .* left out: .*002\.png"):
        data = load_data(f"folder:{root}", on_bad_image="skip")
    assert sum(len(data.split(s)) for s in data.splits) == 11
    assert "002.png" in data.about["left_out"][0]


def test_a_class_without_a_readable_image(tmp_path, class_folders):
    root = class_folders(tmp_path, {"ant": 1, "bee": 6})
    (root / "ant" / "000.png").write_text("no image")
    with pytest.warns(CalibrantWarning), pytest.raises(InputError, match="'ant' has no readable image"):
        load_data(f"folder:{root}", on_bad_image="skip")


def test_folders_that_cannot_be_used(tmp_path, class_folders):
    with pytest.raises(InputError, match="missing"):
        load_data(f"folder:{tmp_path / 'nowhere'}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no class folders with images"):
        load_data(f"folder:{tmp_path / 'empty'}")
    single = class_folders(tmp_path / "single", {"ant": 5})
    with pytest.raises(InputError, match="a single class, 'ant'"):
        load_data(f"folder:{single}")
    (single / "bee").mkdir()
    with pytest.raises(InputError, match=r"class folder .*bee holds no images"):
        load_data(f"folder:{single}")
    twice = class_folders(tmp_path / "twice", {"red_fox": 2, "Red fox": 2})
    with pytest.raises(InputError, match="'Red fox' and 'red_fox' have the same class name"):
        load_data(f"folder:{twice}")
    blank = class_folders(tmp_path / "blank", {"_": 2, "bee": 2})
    with pytest.raises(InputError, match="class name of '_' is empty"):
        load_data(f"folder:{blank}")
    mixed = class_folders(tmp_path / "mixed", {"train/ant": 2, "bee": 2})
    with pytest.raises(InputError, match=r"mixes split folders \(train\) with others \(bee\)"):
        load_data(f"folder:{mixed}")
    flat = class_folders(tmp_path / "flat", {"train": 2, "test": 2})
    with pytest.raises(InputError, match="holds no class folders"):
        load_data(f"folder:{flat}")
    strange = class_folders(tmp_path / "strange", {"train/ant": 2, "train/bee": 2, "test/ant": 2, "test/cat": 2})
    with pytest.raises(InputError, match="class 'cat' has no training images"):
        load_data(f"folder:{strange}")
    few = class_folders(tmp_path / "few", {"ant": 1, "bee": 1})
    with pytest.raises(InputError, match="too few images"):
        load_data(f"folder:{few}")


def test_a_class_may_be_called_train(tmp_path, class_folders):
    assert load_data(f"folder:{class_folders(tmp_path, {'train': 5, 'car': 5})}").classes == ["car", "train"]


def test_other_files_are_counted_and_named(tmp_path, class_folders):
    root = class_folders(tmp_path, {"ant": 5, "bee/small": 5})
    (root / "readme.txt").touch()
    (root / "bee" / "photo.heic").touch()
    with pytest.warns(CalibrantWarning, match=r"2 files are not images .*: readme\.txt, bee/photo\.heic"):
        assert load_data(f"folder:{root}").about["other_files"] == ["readme.txt", "bee/photo.heic"]


def test_codes_give_one_warning_with_the_cure(tmp_path, class_folders):
    root = class_folders(tmp_path, {"n02084071": 5, "0017": 5, "bee": 5})
    with pytest.warns(CalibrantWarning) as caught:
        load_data(f"folder:{root}")
    assert len(caught) == 1
    assert "2 of 3 class names look like codes" in str(caught[0].message)
    assert "--names names.csv" in str(caught[0].message)


def test_a_class_missing_from_test_is_told(tmp_path, class_folders):
    root = class_folders(tmp_path, {"train/ant": 5, "train/bee": 5, "test/ant": 2})
    with pytest.warns(CalibrantWarning, match="1 classes have no test images: 'bee'"):
        load_data(f"folder:{root}")


def test_duplicates_across_splits_and_classes(tmp_path, class_folders):
    root = class_folders(tmp_path / "a", {f"{s}/{c}": 3 for s in ("train", "val", "test") for c in ("ant", "bee")})
    shutil.copy(root / "train/ant/000.png", root / "test/ant/copy.png")
    with pytest.raises(InputError, match=r"test/ant/copy\.png and train/ant/000\.png .* two splits"):
        load_data(f"folder:{root}")
    root = class_folders(tmp_path / "b", {"ant": 5, "bee": 5})
    Image.open(root / "ant/000.png").save(root / "bee/copy.bmp")  # the same pixels in another format
    with pytest.raises(InputError, match=r"ant/000\.png and bee/copy\.bmp .* two classes, 'ant' and 'bee'"):
        load_data(f"folder:{root}")


def test_near_duplicates_stay_together_or_are_told(tmp_path, class_folders, picture):
    root = class_folders(tmp_path / "ours", {"ant": 10, "bee": 10})
    for i in range(10):
        Image.fromarray(picture(i)).save(root / "ant" / f"{i:03}.jpg", quality=90)
    data = load_data(f"folder:{root}")
    assert len(data.near_duplicates) == data.about["near_duplicates"] == 10
    assert all(row["first_split"] == row["second_split"] for row in data.near_duplicates)
    root = class_folders(tmp_path / "theirs", {f"{s}/{c}": 3 for s in ("train", "val", "test") for c in ("ant", "bee")})
    Image.fromarray(picture(0)).save(root / "test" / "ant" / "copy.jpg", quality=90)
    with pytest.warns(
        CalibrantWarning, match=r"1 near-duplicates .* test/ant/copy\.jpg \(test\) and train/ant/000\.png"
    ):
        load_data(f"folder:{root}")


def test_manifest_with_groups_and_columns(tmp_path, class_folders):
    class_folders(tmp_path / "bilder", {"x": 40})
    rows = [f"bilder/x/{i:03}.png,{'ant' if i % 2 else 'bee'},p{i // 4},Köln" for i in range(40)]
    data = load_data(_csv(tmp_path, "path,label,group,site", *rows))
    homes = [set(data.split(s).columns["group"]) for s in data.splits]
    assert sum(map(len, homes)) == 10
    assert all(homes)
    train = data.split("train")
    assert train.unit == "group"
    assert train.columns["site"].tolist() == ["Köln"] * len(train)
    validation = data.split("validation")
    for group in set(validation.columns["group"]):
        assert len(set(validation.columns["part"][validation.columns["group"] == group])) == 1


def test_manifest_with_a_split(tmp_path, class_folders):
    class_folders(tmp_path / "x", {"x": 12})
    splits = ["train", "valid", "TEST"]
    rows = [f"x/x/{i:03}.png,{'ab'[i % 2]}{'nt' if i % 2 == 0 else 'ee'},{splits[i // 4]}" for i in range(12)]
    data = load_data(_csv(tmp_path, "path,label,split", *rows))
    assert [data.split(s).ids for s in data.splits] == [[f"x/x/{i:03}.png" for i in range(k, k + 4)] for k in (0, 4, 8)]


def test_test_images_without_a_label_are_of_none_of_the_classes(tmp_path, class_folders):
    class_folders(tmp_path / "x", {"x": 14})
    splits = ["train", "valid", "test"]
    rows = [f"x/x/{i:03}.png,{'ant' if i % 2 else 'bee'},{splits[i // 4]}" for i in range(12)]
    rows += ["x/x/012.png,,test", "x/x/013.png,,test"]
    name = _csv(tmp_path, "path,label,split", *rows)
    data = load_data(name)
    assert data.classes == ["ant", "bee"]
    assert data.split("test").labels.tolist() == [1, 0, 1, 0, -1, -1]
    assert [data.split(split).labels.min() for split in ("train", "validation")] == [0, 0]
    assert [row["label"] for row in data.manifest()][-3:] == ["ant", "", ""]


def test_a_manifest_without_a_label_is_about_the_classes_of_a_run(tmp_path, class_folders):
    class_folders(tmp_path / "x", {"x": 3})
    name = _csv(tmp_path, "path,label", "x/x/000.png,", "x/x/001.png,", "x/x/002.png,")
    unknown = load_for_testing(name, ["dog", "cat"])
    assert (unknown.splits, unknown.classes) == (("test",), ["dog", "cat"])
    assert unknown.split("test").labels.tolist() == [-1, -1, -1]
    with pytest.raises(InputError, match="no image has a label, so there is no class"):
        load_for_testing(name)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["path,label,split", "a.png,ant,train", "b.png,,val"],
            "line 3: 'label' is empty; only an image whose 'split'",
        ),
        (["path,lable", "a.png,ant"], "no column 'label'; rename 'lable'"),
        (["file,label", "a.png,ant"], "no column 'path'; its columns are file, label"),
        (["path,label,splits", "a.png,ant,train"], "column 'splits' is not known; did you mean 'split'"),
        (["path,label,groups", "a.png,ant,x"], "column 'groups' is not known; did you mean 'group'"),
        (["path,label", "a.png, "], "line 2: 'label' is empty"),
        (["path,label,group", "a.png,ant,"], "line 2: 'group' is empty"),
        (["path,label", "", "a.png,ant,1"], "line 3: 3 fields, but the header has 2"),
        (["path,label,split", "a.png,ant,trian"], "line 2: unknown split 'trian'; did you mean 'train'"),
        (["path,label", "a.png,ant", "a.png,bee"], "'a.png' is listed twice, on lines 2 and 3"),
        (["path,label", "a.png,ant", "b.png,Ant"], "'Ant' and 'ant' have the same class name"),
        (["path,label", "a.png,ant", "b.png,ant"], "a single class, 'ant'"),
        (["path;label", "a.png;ant"], "not separated by commas"),
        (["path,label,label", "a,b,c"], "two columns are called 'label'"),
        (["path,label,", "a,b,c"], "a column has no name"),
        (["path,label,part", "a,b,c"], "fills a column 'part' itself"),
        (["path,label"], "has no rows"),
        (
            ["path,label", "a.png,ant", "b.png,bee"],
            "2 of 2 images cannot be used: .*a.png: there is no such file",
        ),
        (
            ["path,label,split,group", "a.png,ant,train,p1", "b.png,bee,test,p1"],
            "group 'p1' is in train and in test",
        ),
    ],
)
def test_manifests_that_cannot_be_used(tmp_path, lines, message):
    with pytest.raises(InputError, match=message) as caught:
        load_data(_csv(tmp_path, *lines))
    assert "\n" not in str(caught.value)


def test_manifests_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        load_data(f"csv:{tmp_path / 'missing.csv'}")
    (tmp_path / "latin.csv").write_bytes("path,label\na.png,Füchse\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8"):
        load_data(f"csv:{tmp_path / 'latin.csv'}")


def test_options_reach_the_reader_and_unknown_ones_are_refused(tmp_path):
    for i in range(10):
        folder = tmp_path / ("ant" if i % 2 else "bee")
        folder.mkdir(exist_ok=True)
        values = np.random.default_rng(i).integers(0, 4096, (16, 16)).astype(np.uint16)
        Image.fromarray(values).save(folder / f"{i}.png")
    with pytest.raises(InputError, match="declare a window"):
        load_data(f"folder:{tmp_path}")
    data = load_data(f"folder:{tmp_path}", window=(0, 4095), templates="an X-ray showing {}.")
    assert data.templates == ["an X-ray showing {}."]
    assert data.about["options"] == {"templates": "an X-ray showing {}.", "window": (0, 4095)}
    assert data.split("test").images[0].max() > 200
    for options, message in [
        ({"sead": 1}, "'sead'; did you mean 'seed'"),
        ({"seed": -1}, "seed must be"),
        ({"templates": ["a photo"]}, "exactly once"),
        ({"templates": ["{} and {}"]}, "exactly once"),
        ({"templates": ["{name} {}"]}, "exactly once"),
        ({"templates": []}, "at least one template"),
        ({"on_bad_image": "skp"}, "did you mean 'skip'"),
        ({"window": (9, 0)}, "low below high"),
    ]:
        with pytest.raises(InputError, match=message):
            load_data(f"folder:{tmp_path}", **{"window": (0, 4095), **options})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["folder,words", "ant,|"], "line 2: a word between '|' is empty"),
        (["folder,words", "ant,a", "ant,b"], "line 3: folder 'ant' is listed twice"),
        (["folder,words", "cow,cow"], "none of its folders"),
        (["folder,words", "ant,Bee"], "'ant' and 'bee' have the same class name"),
    ],
)
def test_tables_of_names_that_cannot_be_used(tmp_path, class_folders, lines, message):
    names = tmp_path / "names.csv"
    names.write_text("\n".join(lines))
    root = class_folders(tmp_path / "pets", {"ant": 5, "bee": 5})
    with pytest.raises(InputError, match=message.replace("|", r"\|")):
        load_data(f"folder:{root}", names=names)


def test_names_for_other_folders_are_told(tmp_path, class_folders):
    names = tmp_path / "names.csv"
    names.write_text("folder,words\nant,worker\ncow,cow\n")
    root = class_folders(tmp_path / "pets", {"ant": 5, "bee": 5})
    with pytest.warns(CalibrantWarning, match="1 folders are no class of the data: 'cow'"):
        load_data(f"folder:{root}", names=names)


def test_names_of_data_sets(tmp_path, monkeypatch, class_folders):
    emoji = types.ModuleType("calibrant.data.emoji")
    emoji.names = lambda: ["emoji", "emoji/base"]
    emoji.describe = lambda: [{"name": "emoji"}]
    emoji.load = lambda name, **options: (name, options)
    monkeypatch.setitem(sys.modules, "calibrant.data.emoji", emoji)
    monkeypatch.setattr("calibrant.data.emoji", emoji, raising=False)
    assert load_data("emoji/base", a=1) == ("emoji/base", {"a": 1})
    with pytest.raises(InputError, match="unknown data 'emojy'; did you mean 'emoji'"):
        load_data("emojy")
    root = class_folders(tmp_path / "pets", {"ant": 1})
    with pytest.raises(InputError, match=f"did you mean 'folder:{root}'"):
        load_data(str(root))
    assert [row["name"].partition(":")[0] for row in list_data()] == ["emoji", "folder", "csv"]


def test_a_clean_folder_gives_no_warning(tmp_path, class_folders):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_data(f"folder:{class_folders(tmp_path, {'ant': 5, 'bee': 5})}")
