"""What Calibrant warns of before tuning, and what it does not warn of."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from calibrant.cautions import (
    INSTEAD_OF_TINY,
    looks_like_photograph,
    noted_warnings,
    warn_if_at_chance,
    warn_if_tiny_sees_photographs,
)
from calibrant.data.evaluation_set import EvaluationSet
from calibrant.errors import CalibrantWarning


@contextlib.contextmanager
def silence() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def a_set(images: Any, name: str = "folder:pets", classes: int = 4) -> EvaluationSet:
    labels = np.zeros(len(images), np.int64)
    names = [f"n{number:05d}" for number in range(classes)]
    return EvaluationSet(name, "train", images, labels, names, ["a photo of a {}."], [str(i) for i in labels])


def drawings(size: int) -> list[np.ndarray]:
    """Four colours each, as flat drawings have."""
    draw = np.random.default_rng(0)
    return [draw.integers(0, 2, (size, size, 1), np.uint8).repeat(3, 2) * 200 for _ in range(6)]


def photographs(size: int) -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (size, size, 3), np.uint8) for _ in range(6)]


# among 4 classes 25 of 100 are expected by guessing; P(at least 33) = 0.045 and P(at least 32) = 0.069
@pytest.mark.parametrize("correct", [0, 25, 32])
def test_no_better_than_guessing_is_said_with_the_cure(correct: int) -> None:
    with pytest.warns(CalibrantWarning, match=rf"names {correct} of 100 images .* no better than guessing") as said:
        assert warn_if_at_chance(correct, 100, a_set([]))
    for part in ("'n00000', 'n00001'", "'a photo of a {}.'", "--names", "--template"):
        assert part in str(said[0].message)


@pytest.mark.parametrize(("correct", "images"), [(33, 100), (100, 100), (0, 19), (5, 19)])
def test_better_than_guessing_or_too_few_to_tell_is_not(correct: int, images: int) -> None:
    with silence():
        assert not warn_if_at_chance(correct, images, a_set([]))


def test_the_limit_is_that_of_the_binomial_distribution() -> None:
    from scipy.stats import binom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for classes in (2, 10, 400):
            for correct in range(61):
                expected = binom.sf(correct - 1, 60, 1 / classes) > 0.05
                assert warn_if_at_chance(correct, 60, a_set([], classes=classes)) == expected


@pytest.mark.parametrize("size", [64, 400])
def test_tiny_on_photographs_names_the_model_to_use(size: int) -> None:
    with pytest.warns(CalibrantWarning, match="ViT-B-32/laion2b_s34b_b79k"):
        assert warn_if_tiny_sees_photographs("tiny", a_set(photographs(size)))


def test_the_model_to_use_is_one_that_there_is() -> None:
    from calibrant.models.registry import list_models

    assert INSTEAD_OF_TINY in [row["name"] for row in list_models()]


def test_other_models_small_drawings_and_emoji_are_fine() -> None:
    with silence():
        assert not warn_if_tiny_sees_photographs("ViT-B-32/openai", a_set(photographs(400)))
        assert not warn_if_tiny_sees_photographs("tiny", a_set(drawings(64)))
        assert not warn_if_tiny_sees_photographs("tiny", a_set(photographs(64), name="emoji/base"))
        assert not warn_if_tiny_sees_photographs("tiny", a_set(photographs(64)[:2] + drawings(64)))


def test_large_or_colourful_is_a_photograph() -> None:
    assert looks_like_photograph(np.zeros((129, 10, 3), np.uint8))
    assert not looks_like_photograph(np.zeros((128, 128, 3), np.uint8))
    assert looks_like_photograph(photographs(64)[0])


def test_a_warning_is_shown_once_per_command() -> None:
    with warnings.catch_warnings(record=True) as shown, noted_warnings() as noted:
        warnings.simplefilter("always")
        for message in ("one", "two", "one"):
            warnings.warn(message, CalibrantWarning, stacklevel=1)
        for _ in range(2):
            warnings.warn("not ours", UserWarning, stacklevel=1)
    assert noted == ["one", "two"]
    assert [str(one.message) for one in shown] == ["one", "two", "not ours", "not ours"]
