"""Every formula against a float64 loop that is written from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.tuning.averaging import interpolate, moving_average
from calibrant.tuning.batches import samples_of_step
from calibrant.tuning.objectives import contrastive, cross_entropy
from calibrant.tuning.optimization import learning_rate
from calibrant.tuning.regularizers import distance_to_start
from calibrant.tuning.solvers.lbfgs import logistic_regression
from calibrant.tuning.solvers.steps_settings import StepsSettings


def minus_log_softmax(row, label):
    top = max(row)
    return top + math.log(sum(math.exp(x - top) for x in row)) - row[label]


@given(st.integers(1, 8), st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_cross_entropy(count, classes, seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 30, (count, classes)), rng.integers(0, classes, count)
    expected = sum(minus_log_softmax(list(row), label) for row, label in zip(logits, labels, strict=True)) / count
    got = cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels))
    assert float(got) == pytest.approx(expected, abs=1e-10)


@given(st.integers(1, 7), st.floats(0, 100), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_contrastive(count, scale, seed):
    rng = np.random.default_rng(seed)
    image, text = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in rng.normal(size=(2, count, 5)))
    expected = 0.0
    for i in range(count):
        over_texts = [scale * float(image[i] @ text[j]) for j in range(count)]
        over_images = [scale * float(image[j] @ text[i]) for j in range(count)]
        expected += (minus_log_softmax(over_texts, i) + minus_log_softmax(over_images, i)) / (2 * count)
    got = contrastive(torch.from_numpy(image), torch.from_numpy(text), torch.tensor(scale, dtype=torch.float64))
    assert float(got) == pytest.approx(expected, abs=1e-9)


def test_losses_are_float32_under_autocast():
    rows = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = contrastive(rows, rows.roll(1, 0), 50.0)
    assert inside.dtype == torch.float32
    assert float(inside) == float(contrastive(rows, rows.roll(1, 0), 50.0))


def test_distance_to_start():
    rng = np.random.default_rng(0)
    now, then = ([rng.normal(size=(3, 2)), rng.normal(size=4)] for _ in range(2))
    expected = (
        sum((a - b) ** 2 for x, y in zip(now, then, strict=True) for a, b in zip(x.flat, y.flat, strict=True)) / 2
    )
    got = distance_to_start(map(torch.from_numpy, now), map(torch.from_numpy, then))
    assert float(got) == pytest.approx(expected)


def test_moving_average_and_interpolation():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 3))
    average, expected = {"w": torch.from_numpy(values[0].copy())}, values[0].copy()
    for row in values[1:]:
        moving_average(average, {"w": torch.from_numpy(row)}, 0.9)
        expected = 0.9 * expected + 0.1 * row
    np.testing.assert_allclose(average["w"].numpy(), expected, atol=1e-12)
    mixed = interpolate({"w": torch.from_numpy(values[0])}, {"w": torch.from_numpy(values[1])}, 0.3)
    np.testing.assert_allclose(mixed["w"].numpy(), 0.7 * values[0] + 0.3 * values[1], atol=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_linear_probe_is_scikit_learns(classes):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 60)
    features = rng.normal(size=(60, 5)) + labels[:, None] * np.linspace(-1, 1, 5)
    weight, bias = logistic_regression(
        torch.from_numpy(features), torch.from_numpy(labels), classes, 2.0, tolerance=1e-7
    )
    got = torch.softmax(torch.from_numpy(features) @ weight.T + bias, dim=-1).numpy()
    # two classes with a row each share the penalty, so the same solution needs twice the strength
    strength = 2.0 if classes > 2 else 4.0
    reference = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(features, labels)
    np.testing.assert_allclose(got, reference.predict_proba(features), atol=1e-5)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_every_epoch_holds_every_sample_once(count, size, seed):
    size = min(size, count)
    steps = -(-3 * count // size)
    row = np.concatenate([samples_of_step(seed, 0, step, size, count) for step in range(steps)])
    for epoch in range(3):
        assert sorted(row[epoch * count : (epoch + 1) * count]) == list(range(count))


def test_the_learning_rate_rises_and_falls_as_written():
    chosen = StepsSettings(learning_rate=2.0, steps=50, batch_size=1, warmup=0.2)
    for step in range(50):
        expected = 2 * (step + 1) / 10 if step < 10 else 1 + math.cos(math.pi * (step - 10) / 40)
        assert learning_rate(step, 50, chosen) == pytest.approx(expected)
