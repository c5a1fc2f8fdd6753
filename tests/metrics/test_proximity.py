"""Proximity against plain distances and scikit-learn."""

import math
import sys

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from calibrant.errors import InputError
from calibrant.metrics import proximity


def unit(rng, samples, values=16):
    rows = rng.normal(size=(samples, values))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 3, 20])
def test_equals_a_loop_over_plain_distances(k):
    rng = np.random.default_rng(0)
    features, reference = unit(rng, 15), unit(rng, 20)
    expected = [math.exp(-sum(sorted(math.dist(x, y) for y in reference.tolist())[:k]) / k) for x in features.tolist()]
    np.testing.assert_allclose(proximity(features, reference, k), expected, atol=1e-12)


def test_agrees_with_scikit_learn_in_blocks(monkeypatch):
    # the function has the name of its module
    monkeypatch.setattr(sys.modules[proximity.__module__], "TABLE", 2000)
    rng = np.random.default_rng(1)
    features, reference = unit(rng, 500).astype(np.float32), unit(rng, 300).astype(np.float32)
    distance = NearestNeighbors(n_neighbors=10).fit(reference.astype(np.float64)).kneighbors(features)[0]
    np.testing.assert_allclose(proximity(features, reference), np.exp(-distance.mean(axis=1)), atol=1e-9)


def test_features_far_from_0_lose_no_digits():
    rng = np.random.default_rng(2)
    features, reference = unit(rng, 20), unit(rng, 30)
    np.testing.assert_allclose(proximity(features + 1e4, reference + 1e4), proximity(features, reference), atol=1e-9)


def test_an_image_of_the_reference_set_finds_itself():
    features = unit(np.random.default_rng(3), 30)
    np.testing.assert_allclose(proximity(features, features, k=1), 1, atol=1e-6)


def test_torch_tensors_are_accepted():
    torch = pytest.importorskip("torch")
    features = unit(np.random.default_rng(4), 12)
    assert proximity(torch.tensor(features), torch.tensor(features)).tolist() == proximity(features, features).tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.0, 1.0]], [[0.0]], 1), "features have 2 values but reference features 1"),
        (([[0.0]], [[0.0]], 2), "k must be from 1 to 1"),
        (([[0.0]], [[0.0]], 0), "k must be from 1 to 1"),
        (([[np.nan]], [[0.0]], 1), "NaN or infinite"),
        (([0.0], [[0.0]], 1), "must have shape"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments, message):
    with pytest.raises(InputError, match=message):
        proximity(*arguments)
