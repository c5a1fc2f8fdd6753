"""The contrastive losses for several images of a class, against loops in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.errors import InputError
from calibrant.tuning.objectives import (
    contrastive,
    contrastive_masked,
    contrastive_multi_positive,
    contrastive_soft,
)


def masked(row, i, labels):
    kept = [math.exp(x - row[i]) for k, x in enumerate(row) if k == i or labels[k] != labels[i]]
    return math.log(sum(kept))


def multi_positive(row, i, labels):
    positives = [j for j in range(len(row)) if labels[j] == labels[i]]
    against = [math.log(sum(math.exp(x - row[j]) for k, x in enumerate(row) if k != j)) for j in positives]
    return sum(against) / len(positives)


def soft(row, i, labels):
    positives = [j for j in range(len(row)) if labels[j] == labels[i]]
    return sum(math.log(sum(math.exp(x - row[j]) for x in row)) for j in positives) / len(positives)


LOSSES = [(contrastive_masked, masked), (contrastive_multi_positive, multi_positive), (contrastive_soft, soft)]


@pytest.mark.parametrize(("loss", "of_row"), LOSSES)
@given(st.integers(2, 7), st.integers(1, 4), st.floats(0, 60), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_against_the_formula(loss, of_row, count, classes, scale, seed):
    rng = np.random.default_rng(seed)
    image, text = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in rng.normal(size=(2, count, 3)))
    labels = rng.integers(0, classes, count)
    logits = scale * image @ text.T
    expected = sum(of_row(list(rows[i]), i, labels) for rows in (logits, logits.T) for i in range(count)) / (2 * count)
    given_images = torch.from_numpy(image).requires_grad_()
    got = loss(given_images, torch.from_numpy(text), scale, torch.from_numpy(labels))
    assert got.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    got.backward()
    assert torch.isfinite(given_images.grad).all()


@pytest.mark.parametrize("loss", [contrastive_masked, contrastive_soft])
def test_different_classes_are_the_plain_loss(loss):
    image, text = torch.nn.functional.normalize(torch.randn(2, 5, 4, dtype=torch.float64), dim=-1)
    labels = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(loss(image, text, 20.0, labels), contrastive(image, text, 20.0))


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES])
def test_two_images_of_a_class_may_be_the_same(loss):
    """The plain loss pulls the two apart; none of these does."""
    rows = torch.eye(3, dtype=torch.float64)[[0, 0, 1]]
    labels = torch.tensor([0, 0, 1])
    image = rows.clone().requires_grad_()
    loss(image, rows, 30.0, labels).backward()
    apart = image.grad[0] - image.grad[1]
    assert float(apart.abs().max()) < 1e-12
    assert float(loss(rows, rows, 100.0, labels)) < float(contrastive(rows, rows, 100.0)) + 1e-12


def test_a_certain_pair_stays_finite():
    rows = torch.eye(3)
    got = contrastive_multi_positive(rows, rows, 100.0, torch.tensor([0, 1, 2]))
    assert float(got) == pytest.approx(math.log(2) - 100, rel=1e-6)


@pytest.mark.parametrize("loss", [loss for loss, _ in LOSSES])
def test_float32_under_autocast(loss):
    rows = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(rows, rows.roll(1, 0), 50.0, labels)
    assert inside.dtype == torch.float32
    assert float(inside) == float(loss(rows, rows.roll(1, 0), 50.0, labels))


@pytest.mark.parametrize("count", [0, 1])
def test_a_pair_without_others_is_refused(count):
    rows, labels = torch.ones(count, 3), torch.zeros(count, dtype=torch.int64)
    with pytest.raises(InputError, match=f"compares a pair with others, but the batch has {count}"):
        contrastive_multi_positive(rows, rows, 10.0, labels)
