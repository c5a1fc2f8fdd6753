"""The KS error against a loop from the definition, and what holds for any input."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibrant.errors import InputError
from calibrant.metrics import ks_error, signed_gap


def random_set(seed, samples=200, classes=4):
    rng = np.random.default_rng(seed)
    weights = rng.gamma(0.4, size=(samples, classes)) + 1e-9
    return weights / weights.sum(axis=1, keepdims=True), rng.integers(classes, size=samples)


SETS = {
    "random": random_set(0),
    "saturated": (np.eye(3)[[0, 1, 2, 0]], np.array([0, 1, 1, 2])),
    "tied": (np.full((7, 4), 0.25), np.array([0, 1, 2, 3, 0, 0, 1])),
    "one": (np.array([[0.7, 0.3]]), np.array([1])),
    "two": (np.array([[0.7, 0.3], [0.1, 0.9]]), np.array([0, 1])),
    "single true class": (random_set(1)[0], np.zeros(200, dtype=int)),
}


@pytest.mark.parametrize("name", SETS)
def test_equals_a_loop_from_the_definition(name):
    probs, labels = SETS[name]
    samples = [(max(row), row.index(max(row)) == y) for row, y in zip(probs.tolist(), labels.tolist(), strict=True)]
    gaps = [abs(sum(right - c for c, right in samples if c <= threshold)) for threshold, _ in samples]
    assert ks_error(probs, labels) == pytest.approx(max(gaps) / len(samples), abs=1e-12)


def test_equal_confidences_cannot_be_parted():
    probs, labels = [[0.5, 0.5]] * 10, [0] * 5 + [1] * 5
    assert ks_error(probs, labels) == 0
    assert ks_error(probs, labels[::-1]) == 0


def test_sees_opposite_gaps_that_cancel_in_the_mean():
    probs, labels = [[0.6, 0.4]] * 10 + [[0.9, 0.1]] * 10, [0] * 8 + [1] * 2 + [0] * 7 + [1] * 3
    assert abs(signed_gap(probs, labels)) < 1e-12
    assert ks_error(probs, labels) == pytest.approx(0.1)


probabilities = arrays(np.float64, st.tuples(st.integers(1, 30), st.integers(2, 6)), elements=st.floats(0.001, 1)).map(
    lambda weights: weights / weights.sum(axis=1, keepdims=True)
)


@given(probabilities, st.randoms(use_true_random=False))
def test_lies_between_the_gap_of_the_means_and_1_and_ignores_the_order_of_samples(probs, random):
    labels = np.array([random.randrange(probs.shape[1]) for _ in probs])
    order = random.sample(range(len(probs)), len(probs))
    found = ks_error(probs, labels)
    assert abs(signed_gap(probs, labels)) - 1e-9 <= found <= 1
    assert found == pytest.approx(ks_error(probs[order], labels[order]), abs=1e-9)


def test_bad_input_is_refused():
    with pytest.raises(InputError, match=r"sums to 1\.1"):
        ks_error([[0.5, 0.6]], [0])
