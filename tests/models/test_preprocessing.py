from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from calibrant.errors import InputError
from calibrant.models.preprocessing import Augmentation, Preprocessing, draws

SIZES = st.tuples(st.integers(1, 150), st.integers(1, 150))


def _image(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


@settings(deadline=None, max_examples=60)
@given(
    shape=SIZES,
    size=st.sampled_from([32, (32, 32), (24, 40)]),
    mode=st.sampled_from(["shortest", "longest", "squash"]),
    interpolation=st.sampled_from(["bicubic", "bilinear"]),
    fill=st.sampled_from([0, 127]),
)
def test_test_transform_is_bit_equal_to_open_clip(
    shape: tuple[int, int], size: int | tuple[int, int], mode: str, interpolation: str, fill: int
) -> None:
    config = {"size": size, "resize_mode": mode, "interpolation": interpolation, "fill_color": fill}
    if mode == "shortest" and size == (24, 40):
        config["interpolation"] = "bicubic"  # open_clip forgets the setting here
    assume(mode != "longest" or max(shape) < 48 * min(shape))  # open_clip cannot shrink an edge to nothing
    theirs = image_transform_v2(PreprocessCfg(**config), is_train=False)
    image = _image(shape)
    assert torch.equal(Preprocessing.from_config(config).test(image), theirs(Image.fromarray(image)))


def test_an_image_of_the_models_size_is_only_normalised() -> None:
    image = _image((64, 64))
    preprocessing = Preprocessing((64, 64), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    expected = (image.astype(np.float64) / 255 - [0.1, 0.2, 0.3]) / [0.4, 0.5, 0.6]
    np.testing.assert_allclose(preprocessing.test(image).permute(1, 2, 0).numpy(), expected, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(shape=SIZES, seed=st.integers(0, 2**64 - 1), flip=st.sampled_from([0.0, 1.0]))
def test_train_transform_is_torchvisions_crop_of_the_drawn_box(shape: tuple[int, int], seed: int, flip: float) -> None:
    image, augmentation = _image(shape), Augmentation(scale=(0.2, 1.0), flip=flip)
    preprocessing = Preprocessing((32, 32))
    top, left, height, width = augmentation.crop(*shape, draws(seed, "t"))
    box = TF.resized_crop(Image.fromarray(image), top, left, height, width, [32, 32], InterpolationMode.BICUBIC)
    expected = preprocessing.test(np.asarray(TF.hflip(box) if flip else box))
    assert torch.equal(preprocessing.train(image, draws(seed, "t"), augmentation), expected)


@settings(deadline=None)
@given(shape=SIZES, seed=st.integers(0, 999))
def test_crops_lie_inside_and_keep_area_and_ratio(shape: tuple[int, int], seed: int) -> None:
    top, left, height, width = Augmentation().crop(*shape, draws(seed, "t"))
    assert 0 <= top <= shape[0] - height
    assert 0 <= left <= shape[1] - width
    assert height > 0
    assert width > 0
    if 0.8 < shape[0] / shape[1] < 1.25 and min(shape) > 20:
        assert height * width >= 0.9 * shape[0] * shape[1] - height - width


def test_crops_cover_the_whole_image() -> None:
    crops = [Augmentation(scale=(0.25, 0.25), ratio=(1, 1)).crop(8, 8, draws(0, "t", i)) for i in range(400)]
    assert {top for top, *_ in crops} == {left for _, left, *_ in crops} == set(range(5))


def test_an_elongated_image_gets_the_largest_central_crop() -> None:
    assert Augmentation(scale=(1, 1)).crop(10, 100, draws(0, "t")) == (0, 43, 10, 13)
    assert Augmentation(scale=(1, 1)).crop(100, 10, draws(0, "t")) == (43, 0, 13, 10)


def test_draws_depend_on_seed_purpose_and_position_only() -> None:
    first = draws(1, "crop", 2, 3).random()
    assert first == draws(1, "crop", 2, 3).random() == pytest.approx(0.06639315593290918, abs=1e-15)
    others = [draws(2, "crop", 2, 3), draws(1, "flip", 2, 3), draws(1, "crop", 3, 2), draws(1, "crop", 2)]
    assert first not in [other.random() for other in others]


def test_the_thinnest_image_keeps_a_pixel() -> None:
    assert Preprocessing((32, 32), resize_mode="longest").test(_image((1, 500))).shape == (3, 32, 32)


def test_config_survives_a_round_trip() -> None:
    preprocessing = Preprocessing((32, 48), (0.1, 0.2, 0.3), (1, 2, 3), "bilinear", "squash", 7)
    assert Preprocessing.from_config(preprocessing.to_config()) == preprocessing


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8)])
def test_what_is_no_image_is_refused(image: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"must be uint8 \[H, W, 3\]"):
        Preprocessing().test(image)


@pytest.mark.parametrize("wrong", [{"scale": (0.5, 0.4)}, {"scale": (0, 1)}, {"ratio": (0, 1)}, {"flip": 2}])
def test_impossible_augmentations_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError):
        Augmentation(**wrong)


def test_unknown_modes_are_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'shortest'"):
        Preprocessing(resize_mode="short")
    with pytest.raises(InputError, match="did you mean 'bicubic'"):
        Preprocessing(interpolation="cubic")
