"""Cached views: a short training computes only what it draws, and draws the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tuning_toy import QUICK

from calibrant.models.feature_cache import FeatureCache
from calibrant.models.preprocessing import Augmentation
from calibrant.tuning.batches import CachedViews, cached_views, samples_of_step
from calibrant.tuning.fitting import fit
from calibrant.tuning.recipe import load_recipe

CROP = Augmentation(scale=(0.5, 1.0))
SIZE, VIEWS, SEED, STAGE = 6, 8, 3, 1


def short(cache, encoder, train, steps):
    length = {"views": VIEWS, "size": SIZE, "steps": steps}
    return cached_views(cache, encoder, train, CROP, **length, seed=SEED, stage=STAGE)


def test_the_views_that_are_drawn_are_those_of_the_full_cache(encoder, train, cache):
    full = CachedViews.of_all(cache.features(encoder, train, VIEWS, SEED, augmentation=CROP), SEED, STAGE)
    drawn = short(cache, encoder, train, steps=7)
    assert len(full.features) == VIEWS * len(train) == 160
    assert len(drawn.features) <= 7 * SIZE
    for step in range(7):
        indices = samples_of_step(SEED, STAGE, step, SIZE, len(train))
        torch.testing.assert_close(drawn(step, indices)["features"], full(step, indices)["features"])


def test_each_view_that_is_drawn_is_computed_once_and_no_other(encoder, train, cache, monkeypatch):
    transformed = []
    original = type(encoder).train_transform

    def counted(self, image, draw, augmentation):
        transformed.append(1)
        return original(self, image, draw, augmentation)

    monkeypatch.setattr(type(encoder), "train_transform", counted)
    drawn = short(cache, encoder, train, steps=7)
    assert len(transformed) == len(drawn.features) == (drawn.place >= 0).sum()
    short(cache, encoder, train, steps=7)
    assert len(transformed) == len(drawn.features)


def test_a_long_training_uses_all_views(encoder, train, cache):
    assert len(short(cache, encoder, train, steps=27).features) == 160


def test_one_view_is_the_plain_image(encoder, train, cache):
    rows = cached_views(cache, encoder, train, CROP, views=1, size=4, steps=1, seed=1, stage=0)
    np.testing.assert_array_equal(rows.features, cache.features(encoder, train, 1))


def test_a_tuned_model_is_the_same_either_way(encoder, train, tmp_path, monkeypatch):
    recipe = load_recipe("coop", {**QUICK, "solver.views": VIEWS}, "tiny")
    small = fit(encoder, train, recipe, cache=FeatureCache(tmp_path / "small"), progress=False)

    def all_views(cache, encoder, train, augmentation, *, views, size, steps, seed, stage):
        return CachedViews.of_all(cache.features(encoder, train, views, seed, augmentation=augmentation), seed, stage)

    monkeypatch.setattr("calibrant.tuning.loop.cached_views", all_views)
    large = fit(encoder, train, recipe, cache=FeatureCache(tmp_path / "large"), progress=False)
    files = [next((tmp_path / name).rglob("*.npy")).stat().st_size for name in ("small", "large")]
    assert files[0] < files[1]
    for name, tensor in large.tensors().items():
        torch.testing.assert_close(small.tensors()[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("change", [{"seed": 4}, {"augmentation": Augmentation(scale=(0.9, 1.0))}])
def test_other_draws_are_other_features(encoder, train, cache, change):
    pairs = np.array([[0, 1], [5, 2]])
    given = {"seed": 3, "augmentation": CROP}
    one, other = (cache.drawn(encoder, train, pairs, **kind) for kind in (given, {**given, **change}))
    assert np.abs(one - other).max() > 1e-4
