"""Tip-Adapter against loops written from its formula."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tuning_toy import QUICK

from calibrant.errors import InputError
from calibrant.models.preprocessing import Augmentation
from calibrant.tuning import TunedModel, fit, load_recipe
from calibrant.tuning.parameterizations.cached_features import (
    cache_keys,
    cache_logits,
    search_strengths,
)
from calibrant.tuning.solvers.search import search_grid


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def memory(features, keys, labels, classes, beta):
    """exp(-beta (1 - f K)) V with one-hot values V, key by key."""
    logits = np.zeros((len(features), classes))
    for i, f in enumerate(features):
        for key, label in zip(keys, labels, strict=True):
            logits[i, label] += math.exp(-beta * (1 - sum(a * b for a, b in zip(f, key, strict=True))))
    return logits


@given(st.integers(1, 12), st.integers(1, 4), st.integers(1, 3), st.floats(0, 8), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_memory_of_any_training_set(count, classes, views, beta, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    seen = unit(rng.normal(size=(views, count, 5)))
    keys = unit(sum(seen) / views)
    asked = unit(rng.normal(size=(4, 5)))
    sorted_keys = cache_keys(torch.from_numpy(seen), torch.from_numpy(labels), classes)
    assert sorted_keys.shape == (classes, np.bincount(labels).max(), 5)
    got = cache_logits(torch.from_numpy(asked).float(), sorted_keys, beta)
    np.testing.assert_allclose(got.numpy(), memory(asked, keys, labels, classes, beta), atol=1e-5)


def test_answers_are_zero_shot_logits_plus_the_memory(encoder, train, cache, pixels):
    recipe = load_recipe("tip-adapter", {"solver.views": 3, "parameterization.beta": 1.0}, "tiny")
    tuned = fit(encoder, train, recipe, cache=cache, progress=False)
    views = np.asarray(cache.features(encoder, train, 3, 1, augmentation=Augmentation((0.9, 1.0))), np.float64)
    features = encoder.encode_image(pixels)
    zero_shot = tuned.zero_shot.logits(pixels, train.classes).numpy()
    expected = zero_shot + 1.17 * memory(features.double().numpy(), unit(views.mean(axis=0)), train.labels, 3, 1.0)
    np.testing.assert_allclose(tuned.logits(pixels, train.classes).numpy(), expected, atol=1e-4)
    # a tuned class keeps its memory in any list, a new one has none
    mixed = tuned.logits(pixels, ["zebra", "tree"]).numpy()
    np.testing.assert_allclose(mixed[:, 1], expected[:, 2], atol=1e-4)
    alone = tuned.zero_shot.logits(pixels, ["zebra"])
    np.testing.assert_allclose(mixed[:, :1], alone.numpy(), atol=1e-4)


def test_classes_of_different_size_are_saved_and_reloaded(encoder, train, cache, pixels, tmp_path):
    chosen = np.array([0, 3, 6, 9, 1, 4, 2])  # four, two and one image
    few = train.subset(chosen)
    tuned = fit(encoder, few, load_recipe("tip-adapter", {"solver.views": 1}, "tiny"), cache=cache, progress=False)
    keys = tuned.tensors()["keys"]
    assert keys.shape == (3, 4, 16)
    assert (keys.norm(dim=-1) > 0.5).sum(dim=1).tolist() == [4, 2, 1]
    tuned.save(tmp_path / "weights.safetensors")
    again = TunedModel.load(tmp_path / "weights.safetensors", encoder)
    assert torch.equal(again.logits(pixels, few.classes), tuned.logits(pixels, few.classes))


def test_training_moves_the_keys_and_leaves_empty_places_empty(encoder, train, cache):
    few = replace(train.subset(np.array([0, 3, 6, 9, 1, 4, 2])), fingerprint="few")
    changes = {**QUICK, "solver.batch_size": 7, "stages.0.solver.views": 2, "stages.1.solver.views": 2}
    start = fit(encoder, few, load_recipe("tip-adapter", {"solver.views": 2}, "tiny"), cache=cache, progress=False)
    tuned = fit(encoder, few, load_recipe("tip-adapter-f", changes, "tiny"), cache=cache, progress=False)
    before, after = start.tensors()["keys"], tuned.tensors()["keys"]
    there = before.norm(dim=-1) > 0
    assert there.sum() == 7
    assert ((after - before).norm(dim=-1)[there] > 1e-4).all()
    assert (after[~there] == 0).all()


def test_the_search_takes_what_is_right_most_often_then_the_lower_cross_entropy():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 30)
    zero_shot, images = rng.normal(size=(30, 3)), unit(rng.normal(size=(30, 4)) + 2 * np.eye(4)[labels])
    keys = unit(rng.normal(size=(9, 4)) + 2 * np.eye(4)[np.arange(9) % 3])
    alphas, betas = [0.1, 0.5, 2.0, 4.0], [0.5, 2.0, 5.0]
    scores = {}
    for alpha in alphas:
        for beta in betas:
            logits = zero_shot + alpha * memory(images, keys, np.arange(9) % 3, 3, beta)
            likely = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            right = (logits.argmax(axis=1) == labels).sum()
            scores[alpha, beta] = (right, likely[np.arange(30), labels].mean())
    sorted_keys = torch.from_numpy(keys).view(3, 3, 4).transpose(0, 1)
    tensors = [torch.from_numpy(values) for values in (zero_shot, images, labels)]
    assert search_strengths(*tensors, sorted_keys, alphas, betas) == max(scores, key=scores.get)
    assert len(set(scores.values())) > 4
    with pytest.raises(InputError, match="needs validation images"):
        search_strengths(*tensors, sorted_keys, [], betas)


def some_validation(train):
    """Other pictures of the same colours, one of them of no class."""
    rng = np.random.default_rng(3)
    labels = np.append(np.arange(17) % 3, -1)
    images = rng.integers(0, 120, (18, 20, 20, 3), dtype=np.uint8)
    for image, label in zip(images[:17], labels[:17], strict=True):
        image[..., label] += 60
    return replace(train, split="validation", images=images, labels=labels, fingerprint="validation",
                   ids=[f"v{i}" for i in range(18)])  # fmt: skip


@pytest.mark.parametrize("method", ["tip-adapter", "tip-adapter-f"])
def test_a_run_searches_on_its_validation_images(method, encoder, train, cache, pixels, tmp_path):
    changes = {f"stages.0.solver.{key}": value for key, value in {"views": 2}.items()}
    if method == "tip-adapter-f":
        changes |= {"stages.1.solver.steps": 4, "stages.1.solver.batch_size": 8, "stages.1.solver.views": 2}
    given, validation, rows = {"cache": cache, "progress": False}, some_validation(train), []
    plain = fit(encoder, train, load_recipe(method, changes, "tiny"), **given)
    recipe = load_recipe(f"{method}@searched", changes, "tiny")
    tuned = fit(encoder, train, recipe, validation=validation, log=rows.append, **given)
    torch.testing.assert_close(tuned.tensors()["keys"], plain.tensors()["keys"])
    known = validation.subset(np.arange(17))
    features = torch.stack([encoder.test_transform(image) for image in known.images])
    features = tuned.image_features(features).double()
    zero_shot = tuned.zero_shot.logits(features.float(), train.classes).double()
    alphas, betas = [0.1 + i * 0.29 for i in range(10)], [0.1 + i * 0.345 for i in range(20)]
    keys = [row.double().numpy() for of_class in tuned.tensors()["keys"] for row in of_class if row.norm() > 0]
    owners = [c for c, of_class in enumerate(tuned.tensors()["keys"]) for row in of_class if row.norm() > 0]
    scores = {}
    for beta in betas:
        extra = torch.from_numpy(memory(features.numpy(), keys, owners, 3, beta))
        for alpha in alphas:
            logits = zero_shot + alpha * extra
            right = int((logits.argmax(1).numpy() == known.labels).sum())
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(known.labels))
            scores[alpha, beta] = (right, -float(loss))
    alpha, beta = tuned.tensors()["strengths"].tolist()
    assert (alpha, beta) == pytest.approx(max(scores, key=scores.get), abs=1e-6)
    assert rows[-1] == {"stage": len(recipe.stages) - 1, "step": 0, "images": 17, "found": {"strengths": [alpha, beta]}}
    # what was found answers from now on, here and in the file
    given_keys = tuned.parameterization.keys
    image = tuned.image_features(pixels)
    expected = tuned.zero_shot.logits(image, train.classes) + alpha * cache_logits(image, given_keys.detach(), beta)
    torch.testing.assert_close(tuned.logits(pixels, train.classes), expected, atol=1e-4, rtol=0)
    tuned.save(tmp_path / "weights.safetensors")
    again = TunedModel.load(tmp_path / "weights.safetensors", encoder)
    assert torch.equal(again.logits(pixels, train.classes), tuned.logits(pixels, train.classes))


def test_images_are_searched_in_any_portions(monkeypatch):
    rng = np.random.default_rng(4)
    labels = torch.from_numpy(rng.integers(0, 3, 11))
    zero_shot, images = torch.from_numpy(rng.normal(size=(11, 3))), torch.from_numpy(unit(rng.normal(size=(11, 4))))
    given = (zero_shot, images, labels, torch.from_numpy(unit(rng.normal(size=(3, 2, 4)))), [0.5, 3.0], [1.0, 4.0])
    whole = search_strengths(*given)
    monkeypatch.setattr("calibrant.tuning.parameterizations.cached_features._AT_ONCE", 4)
    assert search_strengths(*given) == whole


def test_the_grid_is_the_released_one():
    np.testing.assert_allclose(search_grid(7, 200), [i * (7 - 0.1) / 200 + 0.1 for i in range(200)], atol=1e-12)


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("tip-adapter+l2_sp", {}, "'l2_sp' has nothing to act on"),
        ("tip-adapter+ema", {}, "'ema' has nothing to act on"),
        ("tip-adapter", {"objective": {"name": "cross_entropy"}}, "'cross_entropy' has nothing to act on"),
        ("coop", {"solver": {"name": "closed_form"}, "objective": None}, "cannot solve parameterization"),
        ("tip-adapter@searched", {}, "'search' chooses on validation images, and toy has none with a label"),
        ("tip-adapter@searched+l2_sp", {}, "chooses on validation images"),
        ("tip-adapter-f", {"stages.0.parameterization": {"name": "zero_shot"}, "stages.0.solver": {"name": "none"}},
         "memory of cached features is empty"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(method, changes, words, encoder, train, cache):
    quick = QUICK if method == "tip-adapter-f" else {}
    with pytest.raises(InputError, match=words) as caught:
        fit(encoder, train, load_recipe(method, {**quick, **changes}, "tiny"), cache=cache, progress=False)
    assert "\n" not in str(caught.value)


EMPTY = {"parameterization": {"name": "zero_shot"}, "solver": {"name": "none"}}


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("tip-adapter@searched+l2_sp", {}, "'l2_sp' has nothing to act on"),
        ("tip-adapter@searched", {"solver.grid.gamma": {"largest": 2, "steps": 3}}, "have alpha and beta to"),
        ("tip-adapter@searched", {"stages.0": EMPTY}, "memory of cached features is empty"),
        ("zero-shot", {"solver": {"name": "search", "grid": {"a": {"largest": 2, "steps": 3}}}}, "nothing to choose"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused(method, changes, words, encoder, train, cache):
    recipe, validation = load_recipe(method, changes, "tiny"), some_validation(train)
    with pytest.raises(InputError, match=words):
        fit(encoder, train, recipe, cache=cache, progress=False, validation=validation)
    others = replace(validation, classes=["cat", "red car", "bush"])
    with pytest.raises(InputError, match="other classes than the training images"):
        fit(encoder, train, recipe, cache=cache, progress=False, validation=others)
