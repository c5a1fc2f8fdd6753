"""CAC's diagnostics against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr

from calibrant.arrays import softmax
from calibrant.errors import InputError
from calibrant.metrics import contrast, weight_correlation


@given(st.integers(1, 20), st.integers(2, 7), st.integers(0, 2**32 - 1))
def test_contrast(samples, classes, seed):
    rng = np.random.default_rng(seed)
    cosines, labels = rng.uniform(-1, 1, size=(samples, classes)), rng.integers(0, classes, samples)
    right = [row[label] for row, label in zip(cosines.tolist(), labels, strict=True)]
    wrong = [
        max(one for i, one in enumerate(row) if i != label) for row, label in zip(cosines.tolist(), labels, strict=True)
    ]
    expected = sum(right) / samples - sum(wrong) / samples
    assert contrast(cosines, labels) == pytest.approx(expected, abs=1e-12)
    assert contrast(cosines.astype(np.float32), labels) == pytest.approx(expected, abs=1e-6)
    before = cosines.copy()
    contrast(cosines, labels)
    assert (cosines == before).all()


@given(st.integers(3, 40), st.integers(0, 2**32 - 1))
def test_weight_correlation(samples, seed):
    rng = np.random.default_rng(seed)
    probs, labels, weights = softmax(rng.normal(size=(samples, 4))), rng.integers(0, 4, samples), rng.random(samples)
    over = [max(row) - (row.index(max(row)) == label) for row, label in zip(probs.tolist(), labels, strict=True)]
    expected = pearsonr(weights, over).statistic
    assert weight_correlation(weights, probs, labels) == pytest.approx(expected, abs=1e-9)


def test_without_spread_there_is_no_correlation():
    probs, labels = softmax(np.random.default_rng(0).normal(size=(9, 3))), np.zeros(9, int)
    assert math.isnan(weight_correlation(np.full(9, 1 / 3), probs, labels))
    assert math.isnan(weight_correlation([1.0], probs[:1], labels[:1]))
    assert math.isnan(weight_correlation([1.0, 2.0], [[0.75, 0.25]] * 2, [0, 0]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: contrast([[1.0], [2.0]], [0, 0]), "at least two classes"),
        (lambda: contrast([[1.0, 2.0]], [2]), "label 2 in row 0"),
        (lambda: contrast([[np.nan, 2.0]], [0]), "NaN or infinite"),
        (lambda: weight_correlation([1.0], [[0.5, 0.5]] * 2, [0, 1]), "2 rows of probabilities but 1 weights"),
        (lambda: weight_correlation([1.0], [[0.5, 0.6]], [0]), "must sum to 1"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(InputError) as caught:
        call()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
