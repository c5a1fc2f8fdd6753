"""Diagnostics against loops written from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.errors import InputError
from calibrant.metrics import calibration_error, feature_divergence, logit_gap, signed_gap, smallest_singular_value


@given(st.integers(2, 9), st.integers(1, 8), st.sampled_from(["euclidean", "cosine"]), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_feature_divergence(classes, neighbours, distance, seed):
    rows = np.random.default_rng(seed).normal(size=(classes, 4))
    neighbours = min(neighbours, classes - 1)
    means = []
    for i in range(classes):
        apart = []
        for j in range(classes):
            if j == i:
                continue
            if distance == "euclidean":
                apart.append(math.sqrt(sum((a - b) ** 2 for a, b in zip(rows[i], rows[j], strict=True))))
            else:
                dot = sum(a * b for a, b in zip(rows[i], rows[j], strict=True))
                apart.append(1 - dot / math.sqrt(sum(a * a for a in rows[i]) * sum(b * b for b in rows[j])))
        means.append(sum(sorted(apart)[:neighbours]) / neighbours)
    assert feature_divergence(rows, neighbours, distance) == pytest.approx(sum(means) / classes, abs=1e-12)


def test_five_neighbours_or_as_many_as_there_are():
    rows = np.random.default_rng(0).normal(size=(9, 4))
    assert feature_divergence(rows) == feature_divergence(rows, 5)
    assert feature_divergence(rows[:3]) == feature_divergence(rows[:3], 2)
    assert feature_divergence(2 * rows) == pytest.approx(2 * feature_divergence(rows))
    assert feature_divergence(2 * rows, distance="cosine") == pytest.approx(feature_divergence(rows, distance="cosine"))


@given(st.integers(1, 20), st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_gaps(count, classes, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(count, classes)), rng.integers(0, classes, count)
    ordered = [sorted(row, reverse=True) for row in logits.tolist()]
    assert logit_gap(logits) == pytest.approx(sum(row[0] - row[1] for row in ordered) / count, abs=1e-12)
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    gap = signed_gap(probs, labels)
    assert abs(gap) == pytest.approx(calibration_error(probs, labels, bins=1), abs=1e-12)
    right = sum(int(np.argmax(row) == label) for row, label in zip(probs, labels, strict=True))
    assert gap == pytest.approx((sum(max(row) for row in probs) - right) / count, abs=1e-12)


@given(st.integers(8, 30), st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_smallest_singular_value_is_the_smallest_eigenvalue_of_the_correlations(count, dimensions, seed):
    x = np.random.default_rng(seed).normal(2, 3, size=(count, dimensions))
    expected = np.linalg.eigvalsh(np.corrcoef(x.T).reshape(dimensions, dimensions))[0]
    assert smallest_singular_value(x) == pytest.approx(expected, abs=1e-9)


def test_smallest_singular_value_with_few_samples_or_constant_columns():
    x = np.random.default_rng(0).normal(size=(5, 9))
    eigenvalues = np.sort(np.linalg.eigvalsh(np.corrcoef(x.T)))[::-1]
    assert smallest_singular_value(x) == pytest.approx(eigenvalues[3], abs=1e-12)
    assert smallest_singular_value(np.hstack([np.full((40, 1), 0.1), np.eye(40)[:, :2]])) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: feature_divergence([[1.0, 0.0]]), "at least two classes"),
        (lambda: feature_divergence(np.eye(3), 3), "from 1 to 2"),
        (lambda: feature_divergence(np.eye(3), distance="manhattan"), "unknown distance 'manhattan'"),
        (lambda: feature_divergence([[0.0, 0.0], [1.0, 0.0]], distance="cosine"), "no direction"),
        (lambda: logit_gap([[1.0], [2.0]]), "at least two classes"),
        (lambda: smallest_singular_value([[1.0, 2.0]]), "at least two samples"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
