"""Heat maps over images: legible, true to their numbers, and readable without colour vision."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrant.errors import InputError
from calibrant.rationality.overlays import enlarged, legend, overlay, png, side_by_side

GREY = np.full((64, 64, 3), 128, np.uint8)


def lightness(picture: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB [..., 3] in 0 to 255."""
    share = picture / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    luminance = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


def bilinear(values: np.ndarray, y: int, x: int, size: int) -> float:
    """One pixel of the map, interpolated between the centres of its cells."""
    found = 0.0
    (rows, columns) = values.shape
    at_y, at_x = (y + 0.5) * rows / size - 0.5, (x + 0.5) * columns / size - 0.5
    for row in range(rows):
        for column in range(columns):
            # beyond the outermost centres the border goes on
            near_y, near_x = min(max(at_y, 0), rows - 1), min(max(at_x, 0), columns - 1)
            found += max(0, 1 - abs(near_y - row)) * max(0, 1 - abs(near_x - column)) * values[row, column]
    return found


@pytest.mark.parametrize(
    ("size", "shown"),
    [((64, 64), (192, 192)), ((7, 9), (196, 252)), ((200, 300), (200, 300)), ((600, 300), (512, 256))],
)
def test_images_are_shown_at_a_legible_size(size: tuple[int, int], shown: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    picture = enlarged(image)
    assert picture.shape == (*shown, 3)
    if shown[0] >= size[0]:
        times = shown[0] // size[0]
        assert np.array_equal(picture, np.kron(image, np.ones((times, times, 1), np.uint8)))


def test_the_map_is_interpolated_between_the_centres_of_its_cells() -> None:
    values = np.random.default_rng(1).random((4, 5))
    whole = np.array([[bilinear(values, y, x, 192) for x in range(0, 192, 7)] for y in range(0, 192, 7)])
    shown = lightness(overlay(GREY, values))[::7, ::7]
    order = np.argsort(whole.ravel())
    assert (np.diff(shown.ravel()[order]) > -0.8).all()  # a step of 1/255 in a colour is at most this
    exact = overlay(GREY, values)[96, 96]
    low, high = (
        end([bilinear(values, y, x, 192) for y in range(0, 192, 3) for x in range(0, 192, 3)]) for end in (min, max)
    )
    level = (bilinear(values, 96, 96, 192) - low) / (high - low)
    ramp = overlay(GREY, np.linspace(0, 1, 192)[None, :])[0]
    assert np.abs(exact.astype(int) - ramp[round(level * 191)]).max() <= 3


def test_more_relevance_is_lighter_on_dark_and_light_ground() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 20:40], image[:, 40:] = 128, 255
    shown = lightness(overlay(image, np.linspace(0, 1, 64)[:, None]))
    assert (shown[-1] - shown[0] > 30).all()
    assert (np.diff(shown, axis=0) > -0.6).all()  # but for the rounding of colours it never falls
    rising = lightness(np.array([list(bytes.fromhex(one[1:])) for one in legend()]))
    assert (np.diff(rising) > 2.5).all()


def test_the_lightest_place_of_the_image_stays_darker_than_the_relevance() -> None:
    image = np.kron(np.array([[0, 255], [255, 0]]), np.ones((32, 32)))[..., None].repeat(3, axis=2).astype(np.uint8)
    heat = np.zeros((8, 8))
    heat[1:3, 1:3] = 1
    shown = lightness(overlay(image, heat))
    assert shown[48, 48] > shown[:, 96:].max() + 10


@pytest.mark.parametrize("constant", [0.0, 3.0, np.nan, np.inf])
def test_without_evidence_nothing_glows(constant: float) -> None:
    heat = np.full((8, 8), 0.5)
    heat[2, 2] = constant if not np.isfinite(constant) else 0.5
    plain = overlay(GREY, heat)
    assert (plain == plain[0, 0]).all()
    assert len(set(plain[0, 0].tolist())) == 1


def test_the_scale_of_a_map_does_not_matter() -> None:
    heat = np.random.default_rng(2).random((7, 7))
    for same in (heat * 1e-30, heat * 1e6 - 5, heat.astype(np.float32)):
        assert np.abs(overlay(GREY, heat).astype(int) - overlay(GREY, same)).max() <= 1


def test_the_object_is_outlined_in_black_and_white_and_nothing_else_changes() -> None:
    mask = np.zeros((64, 64), bool)
    mask[20:40, 10:30] = True
    heat = np.random.default_rng(3).random((8, 8))
    plain, lined = overlay(GREY, heat), overlay(GREY, heat, mask=mask)
    changed = (plain != lined).any(axis=2)
    assert changed[58:62, 60].all()  # the upper edge at 60: two pixels outside, two inside
    assert not changed[:57].any()
    assert not changed[63:117, 33:87].any()
    assert (lined[60:62, 40] == 255).all()
    assert (lined[58:60, 40] == 0).all()
    assert np.array_equal(overlay(GREY, heat, mask=np.zeros((64, 64), bool)), plain)


def test_both_pictures_stand_side_by_side_and_survive_a_file() -> None:
    image = np.random.default_rng(4).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    picture = side_by_side(image, np.eye(8))
    assert np.array_equal(picture[:, :192], enlarged(image))
    assert np.array_equal(picture[:, 200:], overlay(image, np.eye(8)))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(png(picture)))), picture)


@pytest.mark.parametrize(
    ("image", "heat", "mask", "message"),
    [
        (GREY / 255, np.eye(8), None, "x.png: expected an image uint8"),
        (GREY[..., 0], np.eye(8), None, "x.png: expected an image uint8"),
        (GREY, np.zeros((1, 8, 8)), None, r"x.png: a heat map must be numbers \[h, w\], not float64 \[1, 8, 8\]"),
        (GREY, np.eye(8), np.ones((32, 32), bool), r"x.png: expected a mask bool \[64, 64\] as large as the image"),
        (GREY, np.eye(8), np.ones((64, 64), int), "x.png: expected a mask bool"),
    ],
)
def test_what_is_no_picture_is_refused(image: Any, heat: Any, mask: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        overlay(image, heat, mask=mask, name="x.png")
