"""The page on which people judge: small, whole, and blind."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from calibrant.errors import InputError
from calibrant.rationality.judgements import WORDS
from calibrant.rationality.overlays import overlay
from calibrant.reporting.review import review_page

MAP = np.outer(np.arange(8), np.arange(8))


def page_of(images: list[np.ndarray], **changed: Any) -> str:
    names = [f"image-{index}" for index in range(len(images))]
    given = {"maps": [MAP] * len(images), "ids": names, "targets": ["cat"] * len(images), "settings": "d1"}
    return review_page(images, **{**given, **changed})


def inside(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="review">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def picture(address: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))


@pytest.fixture(scope="module")
def noisy() -> Callable[[int, int], np.ndarray]:
    """A square on a ground, both with the noise of the emoji scenes."""

    def make(seed: int, edge: int) -> np.ndarray:
        generator = np.random.default_rng(seed)
        image = np.full((edge, edge, 3), generator.integers(40, 200, 3))
        image[edge // 4 : edge // 2, edge // 4 : edge // 2] = generator.integers(40, 200, 3)
        return np.clip(image + generator.normal(0, 10, image.shape), 0, 255).astype(np.uint8)

    return make


def test_a_hundred_small_images_make_a_small_page_even_of_noise() -> None:
    images = list(np.random.default_rng(0).integers(0, 256, (100, 64, 64, 3)).astype(np.uint8))
    page = page_of(images, maps=[np.random.default_rng(seed).random((8, 8)) for seed in range(100)])
    assert len(page.encode()) < 3_000_000
    shown = inside(page)["shown"]
    assert [one["id"] for one in shown] == [f"image-{index}" for index in range(100)]
    assert all(np.array_equal(picture(one["image"]), image) for one, image in zip(shown, images, strict=True))
    assert picture(shown[0]["map"]).shape == (192, 192, 3)


def test_the_picture_of_the_map_is_the_overlay(noisy: Callable[[int, int], np.ndarray]) -> None:
    image = noisy(0, 64)
    (one,) = inside(page_of([image]))["shown"]
    assert np.abs(picture(one["map"]).astype(float) - overlay(image, MAP)).mean() < 4  # a compressed picture
    assert one["small"]


def test_large_images_are_scaled_down(noisy: Callable[[int, int], np.ndarray]) -> None:
    page = page_of([noisy(0, 700)[:350]])
    (one,) = inside(page)["shown"]
    assert picture(one["image"]).shape == picture(one["map"]).shape == (160, 320, 3)
    assert not one["small"]
    assert len(page) < 100_000


def test_the_page_loads_nothing_and_names_nothing_but_the_target(noisy: Callable[[int, int], np.ndarray]) -> None:
    page = page_of([noisy(0, 64)], targets=["</script><b>cat</b>"])
    assert "default-src 'none'" in page
    assert not re.search(r"(?:https?:)?//[a-z]+\.", page)
    (one,) = inside(page)["shown"]
    assert set(one) == {"id", "target", "image", "map", "small"}
    assert one["target"] == "</script><b>cat</b>"
    assert "<b>cat" not in page
    assert set(inside(page)) == {"page", "settings", "words", "columns", "shown"}
    assert inside(page)["words"] == list(WORDS)


def test_the_page_depends_on_nothing_but_what_it_is_given(noisy: Callable[[int, int], np.ndarray]) -> None:
    assert page_of([noisy(0, 64)]) == page_of([noisy(0, 64)])
    assert inside(page_of([noisy(0, 64)]))["page"] != inside(page_of([noisy(0, 64)], settings="d2"))["page"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"maps": [MAP]}, "as many of each: 2 images, 1 maps, 2 ids, 2 targets"),
        ({"ids": ["a", "a"]}, "image 'a' comes twice"),
        ({"maps": [MAP, MAP[0]]}, "image-1: a heat map must be numbers"),
    ],
)
def test_what_cannot_be_reviewed_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        page_of([np.zeros((64, 64, 3), np.uint8)] * 2, **changed)


def test_a_review_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="no image to review"):
        page_of([])
