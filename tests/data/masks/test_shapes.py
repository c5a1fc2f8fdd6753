"""Boxes, polygons and run lengths against loops written from their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.data.masks.run_lengths import RunLengths
from calibrant.data.masks.shapes import Box, Polygon
from calibrant.errors import InputError

HEIGHT, WIDTH = 7, 9
PLACES = st.integers(-7, 7 * 10).map(lambda seventh: seventh / 7)  # never exactly on a centre but for whole + 1/2
CORNERS = st.tuples(PLACES.filter(lambda x: x <= WIDTH + 1), PLACES.filter(lambda y: y <= HEIGHT + 1))


def _centres() -> list[tuple[int, int, float, float]]:
    return [(i, j, i + 0.5, j + 0.5) for i in range(HEIGHT) for j in range(WIDTH)]


@settings(deadline=None, max_examples=50)
@given(st.lists(CORNERS, min_size=3, max_size=7))
def test_a_polygon_holds_the_centres_with_an_odd_number_of_edges_to_their_left(corners) -> None:
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for i, j, y, x in _centres():
        crossings = 0
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
            if (y0 <= y) != (y1 <= y):
                crossings += x0 + (y - y0) / (y1 - y0) * (x1 - x0) <= x
        expected[i, j] = crossings % 2
    assert np.array_equal(Polygon(tuple(corners)).draw(HEIGHT, WIDTH), expected)


@settings(deadline=None, max_examples=50)
@given(CORNERS, CORNERS)
def test_a_box_holds_the_centres_between_its_edges_and_is_the_polygon_of_its_corners(one, other) -> None:
    (left, right), (top, bottom) = (sorted(sides) for sides in zip(one, other, strict=True))
    if left == right or top == bottom:
        return
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for i, j, y, x in _centres():
        expected[i, j] = left <= x < right and top <= y < bottom
    assert np.array_equal(Box(left, top, right, bottom).draw(HEIGHT, WIDTH), expected)
    polygon = Polygon(((left, top), (right, top), (right, bottom), (left, bottom)))
    assert np.array_equal(polygon.draw(HEIGHT, WIDTH), expected)


def test_a_star_is_hollow_and_a_pixel_over_the_border_is_cut_off() -> None:
    angles = np.arange(5) * 4 * np.pi / 5
    star = Polygon(tuple(zip(50 + 40 * np.sin(angles), 50 - 40 * np.cos(angles), strict=True))).draw(100, 100)
    assert star[25, 50]
    assert not star[50, 50]
    assert Box(-1, -0.4, 10, 8).draw(7, 9).all()


@pytest.mark.parametrize("shape", [Box(0, 0, 10.5, 5), Box(-1.5, 0, 3, 5), Polygon(((0, 0), (5, 0), (5, 8.5)))])
def test_what_reaches_further_is_refused(shape) -> None:
    with pytest.raises(InputError, match=r"lies outside the image: it reaches from .* the image has 9 x 7 pixels"):
        shape.draw(7, 9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Box(4, 0, 4, 5), r"box 4 0 4 5: right \(4\) must be greater than left \(4\)"),
        (lambda: Box(0, 5, 4, 2), r"bottom \(2\) must be greater than top \(5\)"),
        (lambda: Box(0, 0, float("nan"), 2), "not made of finite numbers"),
        (lambda: Polygon(((0, 0), (1, 1))), "needs three corners, but this one has 2"),
        (lambda: Polygon(((0, 0), (1, 1), (float("inf"), 0))), "not made of finite numbers"),
        (lambda: RunLengths(2, 3, (1, 2)), "do not fill a mask of 3 x 2 pixels"),
        (lambda: RunLengths.from_text(2, 3, "1~"), "'~' that is none of their code"),
        (lambda: RunLengths.from_text(2, 3, "P"), "end within a number"),
    ],
)
def test_shapes_that_are_none(wrong, message) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


def _disc(height: int, width: int, y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


@pytest.mark.parametrize(
    ("text", "mask"),
    [
        ("e0352N2O0001N2NR1", _disc(9, 13, 4, 5, 3.5)),
        ("111000111OO3OM10010O71I03O22JO0O12OO0", np.random.default_rng(7).random((7, 11)) < 0.4),
        ("0d0", np.ones((5, 4), dtype=bool)),
        ("06>000000O1Oi8", _disc(20, 20, 0, 0, 6)),
    ],
)
def test_compressed_run_lengths_are_read_as_pycocotools_writes_them(text, mask) -> None:
    """The texts were made with pycocotools 2.0.11: ``encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]``."""
    assert np.array_equal(RunLengths.from_text(*mask.shape, text).draw(*mask.shape), mask)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_run_lengths_are_those_that_a_loop_counts(height, width, seed) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.3
    counts, value = [0], False
    for x in range(width):
        for y in range(height):
            if mask[y, x] != value:
                counts.append(0)
                value = not value
            counts[-1] += 1
    assert np.array_equal(RunLengths(height, width, tuple(counts)).draw(height, width), mask)
    with pytest.raises(InputError, match="but the image has"):
        RunLengths(height, width, tuple(counts)).draw(height + 1, width)
