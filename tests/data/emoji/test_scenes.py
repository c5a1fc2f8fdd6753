"""Scenes are the same everywhere, pure functions of their index, and their masks are exact."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from calibrant.data.emoji.backgrounds import FAMILIES
from calibrant.data.emoji.drawings import TRAINING_STYLES, concepts, embedded
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.rendering import rendered_parts
from calibrant.data.emoji.sampling import cast
from calibrant.data.emoji.scenes import Look, Scenes, render
from calibrant.data.emoji.suites import suites
from golden import FOLDER, STREAMS, golden_digest, golden_pictures, scenes_of

BARE = Look(distractor=0, noise=0, light=0)


@pytest.mark.parametrize("stream", STREAMS)
def test_labels_geometry_and_masks_equal_the_reference(stream: str) -> None:
    stored = json.loads((FOLDER / "emoji-scenes.json").read_text(encoding="utf-8"))
    assert golden_digest(stream) == stored["digests"][stream]


def test_pixels_are_within_one_grey_level_of_the_reference() -> None:
    stored = np.asarray(Image.open(FOLDER / "emoji-scenes.png"), np.int32)
    assert np.abs(golden_pictures() - stored).max() <= 1


@pytest.mark.parametrize("stream", ["emoji test", "emoji/hard test", "emoji/longtail test"])
def test_a_scene_depends_on_its_index_alone(stream: str) -> None:
    order = np.array([40, 3, 17, 0])
    whole, some = scenes_of(stream, np.arange(48)), scenes_of(stream, order)
    np.testing.assert_array_equal(whole[0].labels[order], some[0].labels)
    np.testing.assert_array_equal(whole[0].drawing[order], some[0].drawing)
    np.testing.assert_array_equal(whole[1].images[order], some[1].images)
    np.testing.assert_array_equal(whole[1].masks[order], some[1].masks)


def test_another_seed_or_set_gives_other_scenes() -> None:
    a, b, c = (
        Draws(*of)("angle", 10_000) for of in (("a", np.arange(9), 0), ("a", np.arange(9), 1), ("b", np.arange(9), 0))
    )
    assert (a != b).any()
    assert (a != c).any()


@pytest.mark.parametrize("name", ["emoji", "emoji/corrupted", "emoji/unknown"])
def test_chunks_and_threads_change_nothing(name: str) -> None:
    suite, stream, indices = suites()[name], f"{name} test", np.arange(18)
    casting = cast(suite, "test", embedded(), Draws(stream, indices, 0), indices)
    one, other = (
        np.concatenate(list(rendered_parts(suite, stream, casting, embedded(), chunk, threads)))
        for chunk, threads in ((18, 1), (5, 3))
    )
    assert one.tobytes() == other.tobytes()


def bare_scenes(look: Look, *, subject: bool = True) -> Scenes:
    """Twelve scenes without noise: every drawing full, mirrored, turned; the same ones without their object."""
    place, indices = embedded().place, np.arange(12)
    drawing = np.array([place["noto", n] for n in ("violin", "dog", "pizza", "key")] * 3)
    other = np.roll(drawing, 1)
    shown = drawing if subject else np.full(12, -1)
    return render(embedded().pixels, shown, other, indices % len(FAMILIES), look, Draws("bare", indices, 0))


def grown(masks: np.ndarray, by: int) -> np.ndarray:
    """Masks with all pixels up to `by` rows and columns away."""
    wide = np.pad(masks, ((0, 0), (by, by), (by, by)))
    shifts = [(y, x) for y in range(2 * by + 1) for x in range(2 * by + 1)]
    return np.any([wide[:, y : y + 64, x : x + 64] for y, x in shifts], axis=0)


def test_masks_are_exact_where_there_is_one_drawing() -> None:
    scenes, ground = bare_scenes(BARE), bare_scenes(BARE, subject=False)
    changed = (scenes.images != ground.images).any(3)
    assert not (changed & ~grown(scenes.masks, 3)).any()  # soft edges of enlarged drawings
    assert scenes.masks.sum((1, 2)).min() > 100
    # the mask is the drawing, not more: nearly all of it differs from the background
    assert (changed & scenes.masks).sum() > 0.97 * scenes.masks.sum()


def test_boxes_are_tight() -> None:
    scenes = bare_scenes(BARE)
    for mask, (left, top, right, bottom) in zip(scenes.masks, scenes.boxes(), strict=True):
        rows, columns = np.nonzero(mask)
        assert (left, top) == (columns.min(), rows.min())
        assert (right, bottom) == (columns.max() + 1, rows.max() + 1)


def test_nothing_has_an_empty_mask_and_box() -> None:
    ground = bare_scenes(BARE, subject=False)
    assert not ground.masks.any()
    assert not ground.boxes().any()


def test_hidden_pixels_are_not_part_of_the_object() -> None:
    covered = replace(BARE, distractor=100, hidden=100)
    free, partly = bare_scenes(BARE), bare_scenes(covered)
    lost = free.masks & ~partly.masks
    assert lost.any()
    assert not (partly.masks & ~free.masks).any()
    # what the mask keeps is seen (up to the soft edge of the second drawing), what it loses is painted over
    changed = (free.images != partly.images).any(3)
    assert (changed & partly.masks & ~grown(lost, 2)).sum() < 0.01 * lost.sum() + 5
    assert (changed & lost).sum() > 0.9 * lost.sum()


def test_the_margin_of_every_drawing_is_transparent() -> None:
    """Placement relies on it: what lies outside a drawing is clamped to its edge."""
    alpha = embedded().pixels[:, : 64 * 64].reshape(-1, 64, 64) >> np.uint32(24)
    assert not alpha[:, [0, 1, -2, -1]].any()
    assert not alpha[:, :, [0, 1, -2, -1]].any()


def test_ink_colours_the_drawing_and_nothing_else() -> None:
    drawing = np.array([embedded().of(TRAINING_STYLES[0], concepts()[0].name)])
    args = embedded().pixels, drawing, drawing, np.array([0]), BARE, Draws("ink", np.arange(1), 0)
    plain = render(*args)
    kept, red = (render(*args, np.array([ink], np.int32)) for ink in ([-1, -1, -1], [255, 0, 0]))
    np.testing.assert_array_equal(kept.images, plain.images)
    np.testing.assert_array_equal(red.masks, plain.masks)
    inside = plain.masks & ~grown(~plain.masks, 2)
    assert (red.images[inside] == [255, 0, 0]).all(1).mean() > 0.8
