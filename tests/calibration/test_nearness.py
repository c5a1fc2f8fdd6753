"""Proximity among the images of a fit, each without itself, and to them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant import Predictions
from calibrant.calibration.nearness import features_to_keep, nearness, nearness_of
from calibrant.errors import InputError


def looped(features, reference, k, itself):
    found = []
    for i, one in enumerate(features):
        others = [other for j, other in enumerate(reference) if not (itself and i == j)]
        distances = sorted(np.sqrt(((one - other) ** 2).sum()) for other in others)[:k]
        found.append(np.exp(-sum(distances) / len(distances)))
    return found


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(1, 14))
def test_as_defined(seed, samples, k):
    rng = np.random.default_rng(seed)
    features, unseen = rng.normal(size=(samples, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(nearness(features, features, k), looped(features, features, k, True), rtol=1e-6)
    used = Predictions(logits=np.zeros((4, 2)), image_features=unseen)
    np.testing.assert_allclose(nearness_of(used, features, k, "dac"), looped(unseen, features, k, False), rtol=1e-6)


def test_of_two_equal_images_each_finds_the_other():
    twins = np.array([[1.0, 2.0], [1.0, 2.0], [4.0, 6.0]])
    np.testing.assert_allclose(nearness(twins, twins, 1), [1, 1, np.exp(-5)])


def test_an_image_is_as_near_alone_as_among_others():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(9, 3)).astype(np.float32)
    mixed = np.concatenate([reference[[4]], rng.normal(size=(2, 3)).astype(np.float32), reference[[7]]])
    alone = [nearness(one[None], reference, 3)[0] for one in mixed]
    np.testing.assert_allclose(nearness(mixed, reference, 3), alone, rtol=1e-9)
    np.testing.assert_allclose(nearness(reference, reference, 3)[[4, 7]], np.array(alone)[[0, 3]], rtol=1e-9)


def test_what_is_missing_is_named():
    logits = np.zeros((3, 2))
    with pytest.raises(InputError, match="'density-ratio' needs image_features"):
        features_to_keep(Predictions(logits=logits), 10, "density-ratio")
    with pytest.raises(InputError, match="at least two samples"):
        features_to_keep(Predictions(logits=logits[:1], image_features=[[1.0]]), 10, "density-ratio")
    with pytest.raises(InputError, match="fitted on image features of length 5, and these have 4"):
        nearness_of(Predictions(logits=logits, image_features=np.ones((3, 4))), np.ones((6, 5)), 2, "density-ratio")
    for k in (0, 1.5, True):
        with pytest.raises(InputError, match="k of calibrator 'density-ratio'"):
            features_to_keep(Predictions(logits=logits, image_features=np.ones((3, 4))), k, "density-ratio")
