"""Masks go where their objects go in the test transform."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.errors import InputError
from calibrant.models.preprocessing import Preprocessing

SIZES = st.tuples(st.integers(1, 150), st.integers(1, 150))
MODES = st.sampled_from(["shortest", "longest", "squash"])
MODEL_SIZES = st.sampled_from([(32, 32), (24, 40)])


def _box(shape: tuple[int, int], edges: tuple[float, float, float, float]) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    top, bottom = sorted(round(edge * shape[0]) for edge in edges[:2])
    left, right = sorted(round(edge * shape[1]) for edge in edges[2:])
    mask[top:bottom, left:right] = True
    return mask


def _near(mask: np.ndarray, reach: int) -> np.ndarray:
    """Pixels with one of another kind nearby."""
    padded = np.pad(mask, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    return windows.any(axis=(2, 3)) != windows.all(axis=(2, 3))


@settings(deadline=None, max_examples=50)
@given(
    shape=SIZES,
    size=MODEL_SIZES,
    mode=MODES,
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    edges=st.tuples(*[st.floats(0, 1)] * 4),
)
def test_a_mask_agrees_with_its_coloured_object_up_to_the_border(shape, size, mode, interpolation, edges) -> None:
    mask = _box(shape, edges)
    image = np.repeat(mask[:, :, None] * np.uint8(255), 3, axis=2)
    preprocessing = Preprocessing(size, (0, 0, 0), (1, 1, 1), interpolation, mode)
    carried, seen = preprocessing.mask(mask), preprocessing.test(image)[1].numpy() > 0.5
    assert carried.shape == size
    assert carried.dtype == bool
    # an enlarged pixel is as wide as the enlargement, and at a corner so is the doubt
    growth = (min if mode == "longest" else max)(want / have for want, have in zip(size, shape, strict=True))
    reach = 1 if growth <= 1 else 1 + math.ceil(growth / 2)
    border = _near(carried, reach) | _near(seen, reach)
    assert np.array_equal(carried[~border], seen[~border])


@settings(deadline=None, max_examples=40)
@given(shape=SIZES, size=MODEL_SIZES, mode=MODES, edges=st.tuples(*[st.floats(0, 1)] * 4))
def test_the_share_kept_is_the_share_of_fine_points_that_the_crop_holds(shape, size, mode, edges) -> None:
    mask, preprocessing = _box(shape, edges), Preprocessing(size, resize_mode=mode)
    if not mask.any():
        assert math.isnan(preprocessing.share_kept(mask))
        return
    height, width = shape
    if mode == "squash" or mode == "longest":
        expected = 1.0
    else:
        if size[0] == size[1]:
            new = int(size[0] * height / min(shape)), int(size[1] * width / min(shape))
        else:
            ratio = min(height / size[0], width / size[1])
            new = round(height / ratio), round(width / ratio)
        kept = []
        for side, grown, want, inside in zip(shape, new, size, (mask.any(axis=1), mask.any(axis=0)), strict=True):
            points = (np.arange(side * 400) + 0.5) / 400
            of_object = inside[points.astype(int)]
            first = round((grown - want) / 2)
            within = (points * grown / side >= first) & (points * grown / side < first + want)
            kept.append((of_object & within).sum() / of_object.sum())
        expected = kept[0] * kept[1]
    assert preprocessing.share_kept(mask) == pytest.approx(expected, abs=0.02)


def test_an_object_outside_the_crop_leaves_an_empty_mask() -> None:
    mask = np.zeros((64, 200), dtype=bool)
    mask[:, :60] = True
    assert not Preprocessing((64, 64)).mask(mask).any()
    assert Preprocessing((64, 64)).share_kept(mask) == 0
    assert Preprocessing((64, 64), resize_mode="squash").share_kept(mask) == 1
    padded = Preprocessing((64, 64), resize_mode="longest", fill_color=255)
    assert padded.mask(mask).any(axis=1).sum() == 20
    assert padded.share_kept(mask) == 1


def test_a_mask_of_the_models_size_stays_and_is_not_shared() -> None:
    mask = np.eye(32, dtype=bool)
    carried = Preprocessing((32, 32)).mask(mask)
    assert np.array_equal(carried, mask)
    assert not np.shares_memory(carried, mask)


@pytest.mark.parametrize("mask", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), bool)])
def test_what_is_no_mask_is_refused(mask) -> None:
    for carry in (Preprocessing().mask, Preprocessing().share_kept):
        with pytest.raises(InputError, match=r"a mask must be bool \[H, W\]"):
            carry(mask)
