from __future__ import annotations

import errno
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from calibrant.errors import InputError
from calibrant.models.feature_cache import FeatureCache
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.preprocessing import Augmentation, Preprocessing, draws
from calibrant.storage import cache_folder


@dataclass
class Images:
    """What the cache needs of an evaluation set."""

    images: Any
    fingerprint: str = "the images"

    def __len__(self) -> int:
        return len(self.images)


class Counted:
    """Pixels that count how often they are read."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.read = pixels, 0

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> np.ndarray:
        self.read += 1
        return self.pixels[index]


def test_features_are_what_the_model_says(tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path) -> None:
    stored = FeatureCache(tmp_path).features(tiny, Images(images), batch=3)
    assert isinstance(stored, np.memmap)
    assert (stored.shape, stored.dtype) == ((7, 256), np.float32)
    with torch.inference_mode():
        expected = torch.cat([tiny.encode_image(tiny.test_transform(image)[None]) for image in images])
    np.testing.assert_allclose(stored, expected, atol=1e-6)


def test_views_are_the_train_transform_with_their_own_draws(
    tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path
) -> None:
    crop = Augmentation(scale=(0.3, 0.9), flip=0.5)
    stored = FeatureCache(tmp_path).features(tiny, Images(images), 3, seed=4, augmentation=crop, batch=4)
    assert stored.shape == (3, 7, 256)
    for view, index in [(0, 0), (2, 0), (1, 6)]:
        pixels = tiny.train_transform(images[index], draws(4, "cached views", view, index), crop)
        with torch.inference_mode():
            expected = tiny.encode_image(pixels[None])[0]
        np.testing.assert_allclose(stored[view, index], expected, atol=1e-6)
    assert np.abs(stored[0] - stored[1]).max() > 1e-3


def test_half_precision_is_the_rounding_of_single(tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    half, single = (cache.features(tiny, Images(images), dtype=dtype) for dtype in ("float16", "float32"))
    assert half.dtype == np.float16
    np.testing.assert_array_equal(half, single.astype(np.float16))


def test_the_second_time_nothing_is_computed(tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path) -> None:
    counted = Counted(images)
    cache, progress = FeatureCache(tmp_path), []
    first = cache.features(tiny, Images(counted), 4, batch=8, progress=lambda *x: progress.append(x))
    assert counted.read == 7  # once for all four views
    assert progress == [(2, 7), (4, 7), (6, 7), (7, 7)]
    inode = cache.path(tiny, Images(counted), 4).stat().st_ino
    second = cache.features(tiny, Images(counted), 4)
    assert counted.read == 7
    np.testing.assert_array_equal(first, second)
    assert cache.path(tiny, Images(counted), 4).stat().st_ino == inode


def test_the_key_follows_everything_that_features_depend_on(tiny: OpenClipEncoder, images: np.ndarray) -> None:
    cache, keys = FeatureCache("unused"), set()

    def add(**change: Any) -> None:
        keys.add(cache.path(tiny, change.pop("images", Images(images)), **change).name)

    add()
    add(dtype="float16")
    add(views=2)
    add(views=3)
    add(views=2, seed=1)
    add(views=2, augmentation=Augmentation(scale=(0.5, 1)))
    add(views=2, augmentation=Augmentation(ratio=(1, 1)))
    add(views=2, augmentation=Augmentation(flip=0.5))
    add(images=Images(images, "others"))
    add(images=Images(images[:6]))
    with torch.no_grad():
        tiny.network.visual.conv1.weight[0, 0, 0, 0] += 1e-3
    add()
    tiny.preprocessing = Preprocessing((64, 64), mean=(0.5, 0.5, 0.5))
    add()
    assert len(keys) == 12


def test_the_key_leaves_out_what_features_do_not_depend_on(tiny: OpenClipEncoder, images: np.ndarray) -> None:
    cache = FeatureCache("unused")
    before = cache.path(tiny, Images(images))
    with torch.no_grad():
        tiny.network.logit_scale += 1
        tiny.network.token_embedding.weight += 1
    assert cache.path(tiny, Images(images)) == before
    assert cache.path(tiny, Images(images), seed=9) == before  # one view draws nothing


def test_images_without_a_fingerprint_are_known_by_their_pixels(tiny: OpenClipEncoder, images: np.ndarray) -> None:
    cache = FeatureCache("unused")
    other = images.copy()
    other[5, 0, 0, 0] ^= 1
    one, same, changed = (cache.path(tiny, Images(x, "")) for x in (images, images.copy(), other))
    assert one == same != changed


def test_memory_does_not_grow_with_the_images(tiny: OpenClipEncoder, tmp_path: Path) -> None:
    largest = 0

    def watch(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        nonlocal largest
        largest = max(largest, len(inputs[0]))

    class Endless:
        def __len__(self) -> int:
            return 40

        def __getitem__(self, index: int) -> np.ndarray:
            return np.full((64, 64, 3), index, np.uint8)

    tiny.network.visual.register_forward_pre_hook(watch)
    stored = FeatureCache(tmp_path).features(tiny, Images(Endless()), 3, batch=8)
    assert largest == 6  # two images in three views, whatever the number of images
    assert isinstance(stored, np.memmap)
    assert stored.base is not None
    assert not stored.flags.writeable


def test_a_failure_leaves_no_file(tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path) -> None:
    class Bad(Counted):
        def __getitem__(self, index: int) -> np.ndarray:
            if index == 5:
                raise InputError("image 5 is unreadable")
            return super().__getitem__(index)

    with pytest.raises(InputError, match="image 5"):
        FeatureCache(tmp_path).features(tiny, Images(Bad(images)), batch=2)
    assert list((tmp_path / "features").iterdir()) == []


def test_a_full_disk_is_one_line(
    tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        FeatureCache(tmp_path).features(tiny, Images(images))
    assert list((tmp_path / "features").iterdir()) == []


def test_a_damaged_file_is_named(tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path)
    path = cache.path(tiny, Images(images))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match="is damaged; delete it"):
        cache.features(tiny, Images(images))


@pytest.mark.parametrize("links", [True, False])
def test_whoever_is_second_takes_the_first_ones_file(
    tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    if not links:

        def refuse(*_: Any) -> None:
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
    cache = FeatureCache(tmp_path)
    first: list[np.ndarray] = []

    class Racing(Counted):
        def __getitem__(self, index: int) -> np.ndarray:
            if not first:  # another process finishes while this one has just begun
                first.append(cache.features(tiny, Images(images)))
                first.append(cache.path(tiny, Images(images)).stat().st_ino)
            return super().__getitem__(index)

    second = cache.features(tiny, Images(Racing(images)))
    np.testing.assert_array_equal(first[0], second)
    assert len(list((tmp_path / "features").iterdir())) == 1
    if links:
        assert cache.path(tiny, Images(images)).stat().st_ino == first[1]


def test_several_at_once(tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path) -> None:
    start = threading.Barrier(4)

    def compute() -> np.ndarray:
        start.wait()
        return FeatureCache(tmp_path).features(tiny, Images(images), 2)

    with ThreadPoolExecutor(4) as pool:
        first, *rest = [future.result() for future in [pool.submit(compute) for _ in range(4)]]
    for other in rest:
        np.testing.assert_array_equal(first, other)
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_training_mode_is_left_as_it_was(tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path) -> None:
    tiny.train()
    tiny.network.visual.eval()
    before = [module.training for module in tiny.modules()]
    FeatureCache(tmp_path).features(tiny, Images(images))
    assert [module.training for module in tiny.modules()] == before


def test_no_views_are_refused(tiny: OpenClipEncoder, images: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="views is 0"):
        FeatureCache(tmp_path).features(tiny, Images(images), 0)


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path))
    assert FeatureCache().root == tmp_path / "features"
    monkeypatch.delenv("CALIBRANT_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "calibrant"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder().parts[-3:] == ("Library", "Caches", "calibrant")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    assert cache_folder() == tmp_path / "calibrant"
