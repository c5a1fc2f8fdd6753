"""CLIP-Adapter against a loop written from its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tuning_toy import QUICK

from calibrant.errors import InputError
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.parameterizations.feature_adapter import adapted

rng = np.random.default_rng(0)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def reference(features, down, up, ratio):
    rows = []
    for f in features:
        hidden = [max(0.0, sum(w * x for w, x in zip(row, f, strict=True))) for row in down]
        out = [max(0.0, sum(w * h for w, h in zip(row, hidden, strict=True))) for row in up]
        mixed = np.array([ratio * a + (1 - ratio) * x for a, x in zip(out, f, strict=True)])
        rows.append(mixed / np.sqrt((mixed**2).sum()))
    return np.array(rows)


@pytest.mark.parametrize("ratio", [0.0, 0.2, 0.7])
def test_the_formula(ratio):
    features, down, up = unit(rng.normal(size=(5, 8))), rng.normal(size=(2, 8)), rng.normal(size=(8, 2))
    got = adapted(*map(torch.from_numpy, (features, down, up)), ratio)
    np.testing.assert_allclose(got.numpy(), reference(features, down, up, ratio), atol=1e-12)


def test_it_acts_alike_before_and_behind_the_unit_norm():
    """As the release does it, on features that are not normalised yet."""
    raw, down, up = rng.normal(size=(5, 8)), rng.normal(size=(2, 8)), rng.normal(size=(8, 2))
    released = 0.2 * np.maximum(np.maximum(raw @ down.T, 0) @ up.T, 0) + 0.8 * raw
    got = adapted(*map(torch.from_numpy, (unit(raw), down, up)), 0.2)
    np.testing.assert_allclose(got.numpy(), unit(released), atol=1e-12)


def test_only_image_features_change_and_the_text_is_encoded_once(encoder, train, cache, pixels, monkeypatch):
    calls = []
    original = type(encoder).encode_text_embeddings

    def counted(self, *arguments):
        calls.append(True)
        return original(self, *arguments)

    monkeypatch.setattr(type(encoder), "encode_text_embeddings", counted)
    recipe = load_recipe("clip-adapter", {**QUICK, "solver.learning_rate": 1.0}, "tiny")
    tuned = fit(encoder, train, recipe, cache=cache, progress=False)
    assert len(calls) == 1
    names = [*train.classes, "zebra"]
    assert torch.equal(tuned.text_features(names), tuned.zero_shot.text_features(names))
    part = tuned.parameterization
    numbers = [tensor.detach().double().numpy() for tensor in (encoder.encode_image(pixels), part.down, part.up)]
    got = tuned.image_features(pixels)
    np.testing.assert_allclose(got.numpy(), reference(*numbers, 0.2), atol=1e-5)
    assert not torch.allclose(got, encoder.encode_image(pixels), atol=1e-2)


def test_text_that_was_remembered_in_a_prediction_serves_training(encoder, train, cache, pixels):
    def watch(step, total, model):
        with torch.inference_mode():
            model.logits(pixels, ["zebra", *train.classes])
            model.parameterization.logits(model.image_features(pixels), train.classes)

    recipe = load_recipe("clip-adapter", {**QUICK, "solver.steps": 10}, "tiny")
    fit(encoder, train, recipe, cache=cache, progress=False, watch=watch)


def test_other_words_are_not_answered_from_memory(encoder, train, cache):
    from calibrant.predict import in_words_of

    tuned = fit(encoder, train, load_recipe("clip-adapter", QUICK, "tiny"), cache=cache, progress=False)
    before = tuned.text_features(["cat"])
    asking = in_words_of(tuned, {"cat": ("tabby", "kitten")})
    assert not torch.allclose(asking.text_features(["cat"]), before, atol=1e-4)
    assert torch.equal(tuned.text_features(["cat"]), before)


def test_too_narrow_an_adapter_is_refused(encoder, train, cache):
    recipe = load_recipe("clip-adapter", {**QUICK, "parameterization.reduction": 17}, "tiny")
    with pytest.raises(InputError, match="reduction is 17, but toy has only 16 features"):
        fit(encoder, train, recipe, cache=cache, progress=False)
