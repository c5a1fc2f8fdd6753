"""What each evaluation set promises: sizes, columns, priors, backgrounds, label spaces."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from calibrant.data.corruptions import CORRUPTIONS
from calibrant.data.emoji import load
from calibrant.data.emoji.backgrounds import FAMILIES
from calibrant.data.emoji.drawings import SKETCH_STYLES, Drawings, concepts, embedded
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.sampling import Casting, cast, label_space
from calibrant.data.emoji.suites import TASK_TEMPLATES, suites

TASKS = {f"emoji/{group}{half}" for group in TASK_TEMPLATES for half in ("", "/base", "/new")}
MAIN = sorted(set(suites()) - TASKS)
EXPECTED = {
    "emoji",
    "emoji/base",
    "emoji/new",
    "emoji/union",
    "emoji/pose",
    "emoji/resampled",
    "emoji/rendition",
    "emoji/sketch",
    "emoji/context",
    "emoji/hard",
    "emoji/corrupted",
    "emoji/unknown",
    "emoji/longtail",
    "emoji/held-out",
}


def cast_many(name: str, split: str, count: int) -> Casting:
    indices = np.arange(count)
    return cast(suites()[name], split, embedded(), Draws(f"{name} {split}", indices, 0), indices)


def test_all_sets_are_there_and_the_main_ones_are_large() -> None:
    assert set(MAIN) == EXPECTED
    for name in MAIN:
        assert suites()[name].scenes["test"] >= 3000
    for name in TASKS:
        assert set(suites()[name].scenes) == {"train", "validation", "test"}


@pytest.mark.parametrize("name", [*MAIN, "emoji/animals", "emoji/food/new"])
def test_every_scene_is_described(name: str, cache_folder: Path) -> None:
    part = load(name, scenes=15).split("test")
    assert len(part) == len(part.images) == len(part.ids) == len(set(part.ids)) == 15
    assert part.unit == "drawing"
    assert {"drawing", "style", "background", "object_area", "content"} <= set(part.columns)
    assert all(len(column) == 15 for column in part.columns.values())
    assert set(part.columns["background"]) <= set(FAMILIES)
    assert part.masks is not None
    assert part.columns["object_area"].tolist() == [part.masks[i].sum() for i in range(15)]
    for label, drawing in zip(part.labels, part.columns["drawing"], strict=True):
        if label >= 0:
            assert drawing.split("/")[1] == part.classes[label]


def test_validation_has_two_parts_of_the_same_classes(cache_folder: Path) -> None:
    data = load("emoji/instruments", scenes=64)
    part = data.split("validation")
    labels = {which: part.labels[part.columns["part"] == which] for which in ("choice", "threshold")}
    assert set(labels["choice"]) == set(labels["threshold"]) == set(range(len(data.classes)))
    assert "part" not in data.split("test").columns


def test_union_says_which_half_a_class_belongs_to(cache_folder: Path) -> None:
    part = load("emoji/union", scenes=430).split("test")
    base = set(load("emoji/base").classes)
    assert part.classes == load("emoji").classes
    assert set(part.columns["half"]) == {"base", "new"}
    for label, half in zip(part.labels, part.columns["half"], strict=True):
        assert (part.classes[label] in base) == (half == "base")


def test_corruptions_are_spread_evenly(cache_folder: Path) -> None:
    assert suites()["emoji/corrupted"].scenes["test"] % 75 == 0
    part = load("emoji/corrupted", scenes=150).split("test")
    pairs = Counter(zip(part.columns["corruption"].tolist(), part.columns["severity"].tolist(), strict=True))
    assert pairs == {(kind, severity): 2 for kind in CORRUPTIONS for severity in range(1, 6)}


def test_unknown_scenes_have_no_label_and_say_what_they_are(cache_folder: Path) -> None:
    part = load("emoji/unknown", scenes=30).split("test")
    assert (part.labels == -1).all()
    kinds = part.columns["kind"]
    assert Counter(kinds.tolist()) == {"object": 10, "empty": 10, "noise": 10}
    assert (part.columns["object_area"][kinds == "object"] > 0).all()
    assert (part.columns["object_area"][kinds != "object"] == 0).all()
    held_out = {concept.name for concept in concepts() if concept.role == "held-out"}
    assert {name.split("/")[1] for name in part.columns["drawing"][kinds == "object"]} <= held_out
    assert len(set(part.columns["drawing"][kinds != "object"])) == 20


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_the_long_tail_falls_fifty_fold_with_one_prior(split: str) -> None:
    many = 60_000
    classes = len(label_space(suites()["emoji/longtail"], split, embedded()))
    order = np.argsort(Draws("longtail rank", np.arange(classes), 0).bits("rank"), kind="stable")
    counts = np.bincount(cast_many("emoji/longtail", split, many).labels, minlength=classes)[order]
    expected = 50.0 ** (-np.arange(classes) / (classes - 1))
    expected *= many / expected.sum()
    assert expected[0] / expected[-1] == pytest.approx(50)
    # chi-squared over the classes: mean `classes - 1`, standard deviation sqrt(2 * classes)
    assert ((counts - expected) ** 2 / expected).sum() < classes + 5 * np.sqrt(2 * classes)


def test_even_sets_are_balanced_at_any_length() -> None:
    labels = cast_many("emoji", "test", 1000).labels
    counts = np.bincount(labels, minlength=len(label_space(suites()["emoji"], "test", embedded())))
    assert counts.max() - counts.min() <= 1


def test_context_reverses_the_preferred_background() -> None:
    own = {concept.name: i % len(FAMILIES) for i, concept in enumerate(concepts())}
    shares = {}
    for name in ("emoji", "emoji/context", "emoji/hard"):
        casting = cast_many(name, "test", 3360)
        place = np.array([own[drawing.split("/")[1]] for drawing in casting.names])
        away = (casting.family - place) % len(FAMILIES)
        shares[name] = np.bincount(away, minlength=len(FAMILIES)) / len(away)
    # 70 % by preference, and a sixth of the rest by chance
    assert shares["emoji"][0] == pytest.approx(0.75, abs=0.03)
    assert shares["emoji/context"][0] == pytest.approx(0.05, abs=0.02)
    assert shares["emoji/context"][3] == pytest.approx(0.75, abs=0.03)
    assert shares["emoji/hard"][0] == pytest.approx(1 / 6, abs=0.03)


def test_a_class_without_a_drawing_leaves_the_label_space() -> None:
    missing = "violin"
    place = {k: v for k, v in embedded().place.items() if not (k[0] in SKETCH_STYLES and k[1] == missing)}
    lacking = Drawings(embedded().pixels, place, embedded().styles)
    suite, indices = suites()["emoji/sketch"], np.arange(900)
    space = [concept.name for concept in label_space(suite, "test", lacking)]
    assert {concept.name for concept in suite.classes()} - set(space) == {missing}
    casting = cast(suite, "test", lacking, Draws("lacking", indices, 0), indices)
    assert set(casting.labels) == set(range(len(space)))
    for label, drawing in zip(casting.labels, casting.names, strict=True):
        assert drawing.split("/")[1] == space[label]


def test_pose_shows_training_drawings_and_shifts_show_their_styles() -> None:
    where = {f"{style}/{name}": at for (style, name), at in embedded().place.items()}
    trained = set(cast_many("emoji", "train", 13_408).names)
    assert set(cast_many("emoji/pose", "test", 2000).names) <= trained
    for name in ("emoji/rendition", "emoji/sketch"):
        casting = cast_many(name, "test", 2000)
        assert {drawing.split("/")[0] for drawing in casting.names} == set(suites()[name].styles)
        assert casting.drawing.tolist() == [where[drawing] for drawing in casting.names]
