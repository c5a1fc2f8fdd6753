"""Mixup inference in training: what is mixed, what is recovered, and the losses, against loops in float64."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tuning_toy import QUICK, make_encoder, make_train

from calibrant.errors import InputError
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.objectives import decoupled
from calibrant.tuning.objectives.mixup_inference import (
    ContrastiveMixupInference,
    MixupInference,
    MixupInferenceSettings,
)
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

SEEDS = st.integers(0, 2**32 - 1)


@given(st.floats(0.6, 1), st.floats(0, 0.4), SEEDS)
@settings(max_examples=25, deadline=None)
def test_what_was_mixed_is_recovered(share, other, seed):
    a, b = np.random.default_rng(seed).normal(0, 20, (2, 4, 3))
    mixtures = [torch.from_numpy(s * a + (1 - s) * b) for s in (share, other)]
    got = decoupled(*mixtures, torch.tensor([share, other], dtype=torch.float64))
    for recovered, expected in zip(got, (a, b), strict=True):
        np.testing.assert_allclose(recovered.numpy(), expected, atol=1e-10)


@given(st.floats(0.1, 1), st.floats(0.05, 0.9), SEEDS)
@settings(max_examples=25, deadline=None)
def test_the_mixtures(alpha, margin, seed):
    objective = MixupInference(MixupInferenceSettings(alpha=alpha, margin=margin))
    pixels = torch.randn(5, 3, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed % 1000))
    batch = objective.on_batch({"pixels": pixels, "labels": torch.arange(5)}, np.random.default_rng(seed))
    share, other = batch["shares"].tolist()
    assert other <= 0.5 <= share
    assert share - other >= margin - 1e-6
    assert sorted(batch["partner"].tolist()) == list(range(5))
    for name, part in (("pixels", share), ("second_mixture", other)):
        for i, j in enumerate(batch["partner"].tolist()):
            expected = part * pixels[i].numpy() + (1 - part) * pixels[j].numpy()
            np.testing.assert_allclose(batch[name][i].numpy(), expected, atol=1e-6)


def cross_entropy(row, label):
    return math.log(sum(math.exp(x - max(row)) for x in row)) + max(row) - row[label]


def outputs_of(method, objective):
    """A tuned model's answers to a mixed batch, and the batch before it was mixed."""
    encoder, train = make_encoder(), make_train()
    model = build(encoder, Task(train.classes, train.templates, train.words), load_recipe(method), stage=0, seed=1)
    pixels = torch.stack([encoder.test_transform(image) for image in train.images[:5]])
    words = [f"a photo of a {train.classes[label]}." for label in train.labels[:5]]
    batch = {"pixels": pixels, "labels": torch.from_numpy(train.labels[:5]), "captions": encoder.tokenize(words)}
    mixed = objective.on_batch(batch, np.random.default_rng(0))
    return Outputs(model.parameterization, mixed, model.zero_shot), batch


def recovered_rows(logits, batch):
    """Loops over images: the logits of image i as first and of its partner j as second of a pair."""
    (share, other), partner = batch["shares"].tolist(), batch["partner"].tolist()
    first, second = ([[float(x) for x in row] for row in rows] for rows in logits)
    own, others = [], [None] * len(partner)
    for i, j in enumerate(partner):
        # the two equations of each entry, solved by Cramer's rule
        pairs = list(zip(first[i], second[i], strict=True))
        own.append([(x * (1 - other) - y * (1 - share)) / (share - other) for x, y in pairs])
        others[j] = [(share * y - other * x) / (share - other) for x, y in pairs]
    return own, others


def test_the_loss_over_classes():
    objective = MixupInference(MixupInferenceSettings())
    outputs, _ = outputs_of("ft", objective)
    model, batch = outputs.model, outputs.batch
    logits = [
        model.logits(model.image_features(batch[name]), model.task.classes) for name in ("pixels", "second_mixture")
    ]
    own, others = recovered_rows([rows.detach().double() for rows in logits], batch)
    labels = batch["labels"].tolist()
    expected = sum(cross_entropy(rows[i], labels[i]) for rows in (own, others) for i in range(5)) / 10
    assert objective.loss(outputs).item() == pytest.approx(expected, rel=1e-5)


def test_the_loss_over_captions():
    objective = ContrastiveMixupInference(MixupInferenceSettings())
    outputs, _ = outputs_of("flyp", objective)
    model, batch = outputs.model, outputs.batch
    text = model.encoder.encode_text(batch["captions"]).detach().double()
    scale = model.encoder.logit_scale.detach().double()
    images = [model.image_features(batch[name]).detach().double() for name in ("pixels", "second_mixture")]
    expected = 0.0
    for rows in recovered_rows([scale * image @ text.T for image in images], batch):
        columns = [list(column) for column in zip(*rows, strict=True)]
        expected += sum(cross_entropy(lines[i], i) for lines in (rows, columns) for i in range(5)) / 20
    assert objective.loss(outputs).item() == pytest.approx(expected, rel=1e-5)


def test_a_linear_model_has_the_plain_loss():
    """Where outputs are linear in the images, mixing and recovering change nothing."""
    objective, weight = MixupInference(MixupInferenceSettings()), torch.randn(12, 3, dtype=torch.float64)
    labels, pixels = torch.tensor([0, 2, 1, 1]), torch.randn(4, 3, 2, 2, dtype=torch.float64)
    batch = objective.on_batch({"pixels": pixels, "labels": labels}, np.random.default_rng(1))
    linear = SimpleNamespace(
        trains_image_tower=True,
        task=SimpleNamespace(classes=["a", "b", "c"]),
        image_features=lambda images: images.flatten(1) @ weight,
        logits=lambda features, names, text: features,
    )
    plain = torch.nn.functional.cross_entropy(pixels.flatten(1) @ weight, labels)
    assert float(objective.loss(Outputs(linear, batch, None))) == pytest.approx(float(plain), abs=1e-5)


@pytest.mark.parametrize("method", ["ft+label_smoothing", "ft+mixup", "clip-adapter"])
def test_it_trains_with_any_method_that_sees_images(method, encoder, train, cache):
    changes = {**QUICK, "objective.name": "mixup_inference", "solver.views": "live", "solver.precision": "fp32"}
    rows = []
    fit(encoder, train, load_recipe(method, changes, "tiny"), cache=cache, progress=False, log=rows.append)
    assert len(rows) == 6
    assert all(math.isfinite(row["terms"]["mixup_inference"]) for row in rows)


def test_kept_features_are_refused(encoder, train, cache):
    recipe = load_recipe("coop", {**QUICK, "objective.name": "mixup_inference"}, "tiny")
    with pytest.raises(InputError, match=r"set solver\.views to live"):
        fit(encoder, train, recipe, cache=cache, progress=False)
