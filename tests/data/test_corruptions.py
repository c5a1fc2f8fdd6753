"""Corruptions: repeatable, stronger with severity, for any size."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant.data.corruptions import CORRUPTIONS, corrupt
from calibrant.errors import InputError


def _distance(image, kind, severity, seed):
    return np.abs(corrupt(image, kind, severity, seed).astype(int) - image).mean()


def test_there_are_the_fifteen_of_the_paper():
    assert len(set(CORRUPTIONS)) == 15


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_severity_grows_and_draws_repeat(kind, picture):
    images = [picture(seed, size=64) for seed in range(8)]
    distances = [np.mean([_distance(im, kind, s, i) for i, im in enumerate(images)]) for s in range(1, 6)]
    assert np.all(np.diff(distances) > 0)
    assert distances[0] > 0.3
    once = corrupt(images[0], kind, 3, 7)
    assert once.dtype == np.uint8
    assert once.shape == images[0].shape
    assert np.array_equal(once, corrupt(images[0], kind, 3, 7))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_shapes_and_extremes(kind):
    for value in (0, 255):
        flat = np.full((20, 33, 3), value, np.uint8)
        assert corrupt(flat, kind, 5, 0).shape == (20, 33, 3)


def test_seed_and_severity_draw_anew():
    grey = np.full((32, 32, 3), 128, np.uint8)
    assert not np.array_equal(corrupt(grey, "gaussian_noise", 2, 0), corrupt(grey, "gaussian_noise", 2, 1))


def test_gaussian_noise_has_the_stated_deviation():
    grey = np.full((256, 256, 3), 128, np.uint8)
    assert corrupt(grey, "gaussian_noise", 1, 0).std() == pytest.approx(0.04 * 255, rel=0.02)


def test_shot_noise_is_poisson():
    grey = np.full((256, 256, 3), 128, np.uint8)
    expected = np.sqrt(128 / 255 / 250) * 255
    assert corrupt(grey, "shot_noise", 1, 0).std() == pytest.approx(expected, rel=0.02)


def test_the_image_is_left_alone_and_nonsense_is_refused():
    image = np.arange(64 * 64 * 3, dtype=np.int64).reshape(64, 64, 3).astype(np.uint8)
    before = image.copy()
    for kind in CORRUPTIONS:
        corrupt(image, kind, 5, 0)
    assert np.array_equal(image, before)
    with pytest.raises(InputError, match="did you mean 'fog'"):
        corrupt(image, "fogg", 1, 0)
    with pytest.raises(InputError, match="severity"):
        corrupt(image, "fog", 6, 0)
    with pytest.raises(InputError, match="uint8"):
        corrupt(image / 255, "fog", 1, 0)
