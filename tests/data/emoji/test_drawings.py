"""The drawings: which concepts and styles, who may see which, how far the shift styles are from training."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from calibrant.data.emoji.drawings import (
    CANVAS,
    PACK,
    SHIFT_STYLES,
    TRAINING_STYLES,
    Drawings,
    concepts,
    embedded,
    split_of_styles,
)
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.sampling import cast, drawings_of
from calibrant.data.emoji.suites import TASK_TEMPLATES, half, suites
from calibrant.errors import InputError

CLASSES = [concept for concept in concepts() if concept.role == "class"]
HELD_OUT = [concept for concept in concepts() if concept.role == "held-out"]


def drawn_in_training() -> set[tuple[str, str]]:
    """Every drawing that the train split of some set may show, second drawings included."""
    seen = set()
    for suite in suites().values():
        if "train" in suite.scenes:
            for concept in suite.classes():
                seen |= {(s, concept.name) for s in drawings_of(suite, "train", concept, embedded())}
    return seen


def test_there_are_enough_classes_and_forty_held_out_concepts() -> None:
    assert len(CLASSES) >= 300
    assert len(HELD_OUT) == 40


def test_every_concept_is_drawn_by_enough_designers() -> None:
    for concept in concepts():
        assert len(embedded().styles_of(concept.name, TRAINING_STYLES)) >= 3, concept
        assert embedded().styles_of(concept.name, SHIFT_STYLES) == list(SHIFT_STYLES), concept


def test_names_are_plain_english() -> None:
    names = [concept.name for concept in concepts()]
    assert len({name.casefold() for name in names}) == len(names)
    assert names == sorted(names, key=str.casefold)
    for name in names:
        assert name.isascii()
        assert name.replace(" ", "").replace("-", "").isalpha(), name
        assert name == name.strip()


def test_there_are_at_least_eight_tasks_of_a_usual_size() -> None:
    sizes = {group: len(suites()[f"emoji/{group}"].classes()) for group in TASK_TEMPLATES}
    assert len(sizes) >= 8
    assert min(sizes.values()) >= 10
    assert max(sizes.values()) <= 80
    assert len(set(TASK_TEMPLATES.values())) == len(sizes)


@pytest.mark.parametrize("name", ["emoji", *(f"emoji/{group}" for group in TASK_TEMPLATES)])
def test_base_and_new_are_the_sorted_halves(name: str) -> None:
    whole = [concept.name for concept in suites()[name].classes()]
    base, new = ([c.name for c in suites()[f"{name}/{which}"].classes()] for which in ("base", "new"))
    assert base + new == whole == sorted(whole, key=str.casefold)
    assert len(base) == -(-len(whole) // 2)
    assert [c.name for c in half(suites()[name], "base").classes()] == base


def test_splits_of_a_class_are_disjoint_and_every_style_is_in_every_split() -> None:
    styles: dict[str, Counter[str]] = {"train": Counter(), "validation": Counter(), "test": Counter()}
    for concept in concepts():
        available = embedded().styles_of(concept.name, TRAINING_STYLES)
        split = split_of_styles(concept.name, available)
        assert sorted(style for some in split.values() for style in some) == sorted(available)
        assert len(split["test"]) == len(split["validation"]) == 1
        for which, some in split.items():
            styles[which].update(some)
    for counts in styles.values():
        assert set(counts) == set(TRAINING_STYLES)
        assert min(counts.values()) > 0.1 * sum(counts.values())


def test_no_drawing_for_test_is_ever_trained_on() -> None:
    seen = drawn_in_training()
    kept = set()
    for concept in CLASSES:
        split = split_of_styles(concept.name, embedded().styles_of(concept.name, TRAINING_STYLES))
        kept |= {(split[which][0], concept.name) for which in ("validation", "test")}
    assert not seen & kept
    assert not {style for style, _ in seen} & set(SHIFT_STYLES)
    assert not {name for _, name in seen} & {concept.name for concept in HELD_OUT}


@pytest.mark.parametrize("name", ["emoji", "emoji/base", "emoji/longtail", "emoji/food"])
def test_what_training_scenes_show_are_training_drawings(name: str) -> None:
    casting = cast(suites()[name], "train", embedded(), Draws("any", np.arange(2000), 1), np.arange(2000))
    seen, where = drawn_in_training(), {at: drawing for drawing, at in embedded().place.items()}
    shown = {where[at] for at in (*casting.drawing.tolist(), *casting.distractor.tolist())}
    assert shown <= seen


def test_held_out_concepts_are_classes_of_one_set_only() -> None:
    names = {concept.name for concept in HELD_OUT}
    for suite in suites().values():
        found = names & {concept.name for concept in suite.classes()}
        assert found == (names if suite.name == "emoji/held-out" else set())


def test_the_pack_is_small_and_every_style_names_its_licence() -> None:
    assert PACK.stat().st_size <= 15_000_000
    with zipfile.ZipFile(PACK) as pack:
        styles = json.loads(pack.read("index.json"))["styles"]
    assert set(styles) == {*TRAINING_STYLES, *SHIFT_STYLES}
    for entry in styles.values():
        assert entry["licence"]
        assert entry["author"]
        assert entry["source"].startswith("https://")
        assert entry["spdx"] in ("Apache-2.0", "MIT", "CC-BY-4.0")  # none asks to share alike


def on_white(name_of_style: str) -> np.ndarray:
    """The classes of one style on white paper, float32 [classes, 64 * 64 * 3]; NaN where there is none."""
    out = np.full((len(CLASSES), CANVAS * CANVAS * 3), np.nan, np.float32)
    for row, concept in enumerate(CLASSES):
        at = embedded().place.get((name_of_style, concept.name))
        if at is not None:
            rgba = embedded().pixels[at, : CANVAS * CANVAS].view(np.uint8).reshape(-1, 4).astype(np.float32)
            out[row] = (rgba[:, :3] + 255 - rgba[:, 3:]).reshape(-1)
    return out


def found_by_pixels(shift: str, training: tuple[str, ...]) -> float:
    """How often the training drawing that is nearest in raw pixels has the class of a shift drawing."""
    queries = on_white(shift)
    best, label = np.full(len(queries), np.inf, np.float32), np.zeros(len(queries), int)
    for style in training:
        drawings = on_white(style)
        rows = np.flatnonzero(~np.isnan(drawings[:, 0]))
        there = drawings[rows]
        distance = (there**2).sum(1) - 2 * queries @ there.T
        nearest = distance.argmin(1)
        closer = distance[np.arange(len(queries)), nearest] < best
        best[closer] = distance[np.arange(len(queries)), nearest][closer]
        label[closer] = rows[nearest][closer]
    return float((label == np.arange(len(queries))).mean())


@pytest.mark.parametrize("shift", SHIFT_STYLES)
def test_raw_pixels_do_not_cross_from_training_to_shift_styles(shift: str) -> None:
    """Measured, nearest among all four training styles: emojione 27 %, fluent-emoji
    22 %, emojione-monotone 18 %, fluent-emoji-high-contrast 12 %."""
    assert found_by_pixels(shift, TRAINING_STYLES) <= 0.6


def test_a_damaged_pack_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "drawings.zip"
    broken.write_bytes(PACK.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"drawings\.zip"):
        Drawings.read(broken)


def test_an_unknown_drawing_is_named_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'noto/violin'"):
        embedded().of("noto", "violim")


def test_a_concept_of_two_styles_cannot_be_split() -> None:
    with pytest.raises(InputError, match="2 training styles"):
        split_of_styles("violin", ["noto", "twemoji"])
