"""Features of word lists: the same as one by one, computed once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from calibrant.errors import InputError
from calibrant.models.text_cache import TextFeatureCache, encode_alike
from calibrant.models.tiny import load_tiny

TEXTS = [f"a photo of a {word}." for word in ("tree", "fire engine", "x", "very long name of a thing", "dog")]


@pytest.fixture(scope="module")
def encoder():
    return load_tiny(random_initialisation=True)


def one_by_one(encoder, texts):
    with torch.no_grad():
        return torch.cat([encoder.encode_text(encoder.tokenize([text])) for text in texts]).numpy()


def test_every_prompt_has_the_feature_that_it_has_alone(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr("calibrant.models.text_cache.AT_ONCE", 2)
    features = TextFeatureCache(tmp_path).features(encoder, TEXTS)
    assert isinstance(features, np.memmap)
    np.testing.assert_allclose(features, one_by_one(encoder, TEXTS), atol=1e-6)


@pytest.mark.parametrize("texts", [["one prompt"], ["the same"] * 3, ["a b", "c d e"], ["a b", "a b c", "a"]])
def test_whatever_prompts_have_in_common(encoder, texts):
    with torch.no_grad():
        together = encode_alike(encoder, encoder.tokenize(texts))
    np.testing.assert_allclose(together.numpy(), one_by_one(encoder, texts), atol=1e-6)


def test_a_tower_that_cannot_share_a_prefix(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder, "capabilities", encoder.capabilities - {"shared_prefix"})
    features = TextFeatureCache(tmp_path).features(encoder, TEXTS)
    np.testing.assert_allclose(features, one_by_one(encoder, TEXTS), atol=1e-6)


def test_they_are_computed_once(encoder, tmp_path, monkeypatch):
    cache = TextFeatureCache(tmp_path)
    first = np.array(cache.features(encoder, TEXTS))
    monkeypatch.setattr(encoder, "tokenize", lambda texts: pytest.fail("computed again"))
    np.testing.assert_array_equal(cache.features(encoder, TEXTS), first)


def test_the_file_is_named_by_what_it_was_made_of(encoder, tmp_path):
    cache = TextFeatureCache(tmp_path)
    before = cache.path(encoder, TEXTS)
    assert cache.path(encoder, TEXTS[::-1]) != before
    with torch.no_grad():
        encoder.text_projection.add_(0.01)
    try:
        assert cache.path(encoder, TEXTS) != before
    finally:
        with torch.no_grad():
            encoder.text_projection.sub_(0.01)


def test_a_prompt_that_is_too_long_leaves_nothing_behind(encoder, tmp_path):
    with pytest.raises(InputError, match="tokens, the model reads 77"):
        TextFeatureCache(tmp_path).features(encoder, ["cat", "cat " * 80])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_damaged_file_is_named(encoder, tmp_path):
    cache = TextFeatureCache(tmp_path)
    path = cache.path(encoder, TEXTS)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no array")
    with pytest.raises(InputError, match="is damaged"):
        cache.features(encoder, TEXTS)
