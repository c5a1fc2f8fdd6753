"""How much of a map lies on the object, against loops that follow the definitions."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibrant.errors import InputError
from calibrant.rationality import best_iou, object_area, pointing_game, relevance_mass, relevance_rank

MEASURES = (relevance_mass, relevance_rank, pointing_game, best_iou)
CORNER = np.array([[[True, False], [False, False]]])


def slow_mass(image: np.ndarray, mask: np.ndarray) -> float:
    low, high = float(image.min()), float(image.max())
    inside = whole = 0.0
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            value = (float(image[row, column]) - low) / (high - low)
            whole += value
            inside += value if mask[row, column] else 0.0
    return inside / whole


def slow_rank(image: np.ndarray, mask: np.ndarray) -> float:
    """Go through every order that the ties allow."""
    values, on = image.ravel(), mask.ravel()
    orders = [order for order in permutations(range(len(values))) if (np.diff(values[list(order)]) <= 0).all()]
    wanted = int(on.sum())
    return float(np.mean([on[list(order[:wanted])].mean() for order in orders]))


def slow_pointing(image: np.ndarray, mask: np.ndarray) -> float:
    return float(np.mean([mask[tuple(place)] for place in np.argwhere(image == image.max())]))


def slow_iou(image: np.ndarray, mask: np.ndarray) -> float:
    cuts = [image >= threshold for threshold in np.unique(image)]
    return max(float((cut & mask).sum() / (cut | mask).sum()) for cut in cuts)


@pytest.mark.parametrize(
    ("measure", "slow"),
    [(relevance_mass, slow_mass), (relevance_rank, slow_rank), (pointing_game, slow_pointing), (best_iou, slow_iou)],
)
def test_measures_follow_their_definitions(
    measure: Callable[..., np.ndarray], slow: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    draw = np.random.default_rng(0)
    maps = draw.integers(-2, 3, (25, 2, 3)).astype(np.float32)  # few values, so that there are ties
    maps = maps[np.ptp(maps, axis=(1, 2)) > 0]
    masks = draw.random(maps.shape) < 0.5
    masks[:, 0, 0] = True
    expected = [slow(one, mask) for one, mask in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(measure(maps, masks), expected, rtol=1e-12)


def test_a_map_drawn_by_hand() -> None:
    image = [[[0.0, 0.0, 0.0, 0.0], [0.0, 4.0, 2.0, 0.0], [0.0, 1.0, 1.0, 0.0]]]
    mask = np.zeros((1, 3, 4), dtype=bool)
    mask[0, 1:, 1] = True
    assert relevance_mass(image, mask)[0] == pytest.approx(5 / 8)
    assert relevance_rank(image, mask)[0] == pytest.approx(1 / 2)
    assert pointing_game(image, mask)[0] == 1
    assert best_iou(image, mask)[0] == pytest.approx(1 / 2)
    assert object_area(mask)[0] == pytest.approx(2 / 12)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, (3, 4, 5), elements=st.floats(-100, 100, width=32)),
    arrays(np.bool_, (3, 4, 5)),
    st.floats(0.01, 100),
    st.floats(-100, 100),
)
def test_mass_on_and_off_the_object_is_everything(
    maps: np.ndarray, masks: np.ndarray, scale: float, shift: float
) -> None:
    found = relevance_mass(maps, masks)
    evidence = np.ptp(maps, axis=(1, 2)) > 0
    np.testing.assert_array_equal(np.isnan(found), ~evidence)
    assert ((found[evidence] >= 0) & (found[evidence] <= 1)).all()
    np.testing.assert_allclose((found + relevance_mass(maps, ~masks))[evidence], 1, rtol=1e-9)
    moved = maps.astype(np.float64) * scale + shift
    clear = np.ptp(maps, axis=(1, 2)) > 1e-3  # below it, adding the shift rounds the map away
    np.testing.assert_allclose(relevance_mass(moved, masks)[clear], found[clear], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(arrays(np.float32, (2, 3, 4), elements=st.integers(0, 4)), arrays(np.bool_, (2, 3, 4)))
def test_every_measure_is_a_share_and_full_where_the_map_is_the_mask(maps: np.ndarray, masks: np.ndarray) -> None:
    for measure in MEASURES:
        found = measure(maps, masks)
        assert ((found[~np.isnan(found)] >= 0) & (found[~np.isnan(found)] <= 1)).all()
        own = measure(masks.astype(np.float32), masks)
        there = masks.any(axis=(1, 2)) & ~masks.all(axis=(1, 2))
        np.testing.assert_array_equal(own, np.where(there, 1, np.nan))


@pytest.mark.parametrize("measure", MEASURES)
def test_a_map_without_evidence_has_no_value(measure: Callable[..., np.ndarray]) -> None:
    maps = np.stack([np.full((2, 2), 7.0), [[np.nan, 1], [2, 3]], [[np.inf, 1], [2, 3]], [[1, 0], [0, 0]]])
    found = measure(maps, np.repeat(CORNER, 4, axis=0))
    assert np.isnan(found).tolist() == [True, True, True, False]


def test_an_object_outside_the_image_is_never_found() -> None:
    maps, nothing = np.arange(4.0).reshape(1, 2, 2), np.zeros((1, 2, 2), dtype=bool)
    assert relevance_mass(maps, nothing) == pointing_game(maps, nothing) == best_iou(maps, nothing) == 0
    assert np.isnan(relevance_rank(maps, nothing)[0])
    assert object_area(nothing) == 0


def test_many_images_are_measured_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    maps, masks = draw.random((7, 3, 3)), draw.random((7, 3, 3)) < 0.5
    maps[3] = 1
    whole = relevance_mass(maps, masks)
    monkeypatch.setattr("calibrant.rationality.relevance.AT_ONCE", 18)
    np.testing.assert_array_equal(relevance_mass(maps, masks), whole)


def test_wrong_sizes_and_masks_are_named() -> None:
    maps = np.zeros((2, 2, 2))
    with pytest.raises(InputError, match=r"\[2, 2, 2\] and masks \[1, 2, 2\] must be of equal size"):
        relevance_mass(maps, CORNER)
    with pytest.raises(InputError, match="image 1 does not"):
        relevance_mass(maps, [[[0, 1], [1, 0]], [[0, 255], [0, 0]]])
    with pytest.raises(InputError, match=r"\[N, height, width\]"):
        relevance_mass(maps[0], CORNER)
