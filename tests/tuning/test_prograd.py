"""KgCoOp's term, and ProGrad's term and projection."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tuning_toy import QUICK, make_encoder, make_train

from calibrant.errors import InputError
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers import knowledge_guided, without_conflict, zero_shot_cross_entropy
from calibrant.tuning.regularizers.knowledge_guided import KnowledgeGuided, KnowledgeGuidedSettings
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

SEEDS = st.integers(0, 2**32 - 1)


def softmax(row):
    top = max(row)
    weights = [math.exp(x - top) for x in row]
    return [weight / sum(weights) for weight in weights]


@given(st.integers(1, 5), SEEDS)
def test_the_knowledge_guided_term(classes, seed):
    tuned, start = np.random.default_rng(seed).normal(size=(2, classes, 6))
    cosines = [float(a @ b) / math.sqrt(float(a @ a) * float(b @ b)) for a, b in zip(tuned, start, strict=True)]
    expected = 1 - sum(cosines) / classes
    assert float(knowledge_guided(torch.from_numpy(tuned), torch.from_numpy(start))) == pytest.approx(
        expected, abs=1e-12
    )


@given(st.integers(1, 5), st.integers(2, 6), st.floats(0.5, 8), SEEDS)
def test_the_cross_entropy_with_the_zero_shot_model(images, classes, temperature, seed):
    tuned, start = np.random.default_rng(seed).normal(0, 5, (2, images, classes))
    expected = 0.0
    for row, reference in zip(tuned / temperature, start / temperature, strict=True):
        p = softmax(list(reference))
        expected -= sum(p[c] * math.log(softmax(list(row))[c]) for c in range(classes)) / images
    got = zero_shot_cross_entropy(torch.from_numpy(tuned), torch.from_numpy(start), temperature)
    assert float(got) == pytest.approx(expected * temperature**2, rel=1e-9)


@given(st.integers(1, 6), st.floats(0, 2), SEEDS)
def test_the_projection(size, strength, seed):
    gradient, general = np.random.default_rng(seed).normal(size=(2, size))
    got = without_conflict(torch.from_numpy(gradient), torch.from_numpy(general), strength).numpy()
    product = sum(a * b for a, b in zip(gradient, general, strict=True))
    share = strength * product / sum(b * b for b in general) if product < 0 else 0
    np.testing.assert_allclose(got, [a - share * b for a, b in zip(gradient, general, strict=True)], atol=1e-12)


def test_the_projection_survives_vanishing_gradients():
    gradient = torch.tensor([1.0, -1.0])
    assert torch.equal(without_conflict(gradient, torch.zeros(2)), gradient)
    tiny = without_conflict(gradient, torch.tensor([0.0, 1e-30]))
    assert tiny.tolist() == [1.0, 0.0]


@given(SEEDS)
def test_a_step_never_makes_the_zero_shot_term_worse(seed):
    """By finite differences in float64: the projected direction does not raise the general loss, to first order."""
    draw = torch.Generator().manual_seed(seed % 2**31)
    images, start, weight = (
        torch.randn(shape, generator=draw, dtype=torch.float64) for shape in ((6, 3), (6, 4), (4, 3))
    )
    labels = torch.randint(4, (6,), generator=draw)
    weight.requires_grad_(True)

    def general(matrix):
        return zero_shot_cross_entropy(images @ matrix.T, start)

    (task,) = torch.autograd.grad(torch.nn.functional.cross_entropy(images @ weight.T, labels), weight)
    (own,) = torch.autograd.grad(general(weight), weight)
    direction = without_conflict(task, own)
    epsilon = 1e-5
    with torch.no_grad():
        slope = (general(weight + epsilon * direction) - general(weight - epsilon * direction)) / (2 * epsilon)
    # the step goes against the gradient, so the slope along it must not be negative
    assert float(slope) > -1e-8
    conflict = float((task * own).sum()) < 0
    assert torch.equal(direction, task) != conflict
    if conflict:
        assert float(slope) == pytest.approx(0, abs=1e-8)


def gradients(model, batch):
    outputs = Outputs(model.parameterization, batch, model.zero_shot)
    losses = (
        torch.nn.functional.cross_entropy(outputs.logits, batch["labels"]),
        zero_shot_cross_entropy(outputs.logits, outputs.zero_shot_logits),
    )
    context = model.parameterization.trainables()["context"]
    return [torch.autograd.grad(loss, context, retain_graph=True)[0] for loss in losses]


@pytest.mark.parametrize("weight", [1, 50])
def test_training_steps_along_the_projected_gradient_and_nothing_else(weight, encoder, train, cache):
    changes = {
        "solver.steps": 1, "solver.batch_size": 20, "solver.learning_rate": 0.5, "solver.weight_decay": 0,
        "solver.warmup": 0, "solver.views": 1, "solver.optimizer": "sgd", "regularizers.prograd.weight": weight,
        "stages.0.parameterization": {"name": "text_context", "tokens": 3},
    }  # fmt: skip
    recipe = load_recipe("prograd", changes, "tiny")
    rows = []
    tuned = fit(encoder, train, recipe, cache=cache, progress=False, log=rows.append)
    model = build(make_encoder(), Task(train.classes, train.templates, train.words), recipe, stage=0, seed=1)
    pixels = torch.stack([encoder.test_transform(np.asarray(image)) for image in train.images])
    batch = {"labels": torch.from_numpy(train.labels), "pixels": pixels}
    task, own = gradients(model, batch)
    start = model.parameterization.trainables()["context"].detach()
    expected = start - 0.5 * without_conflict(task, own)
    torch.testing.assert_close(tuned.tensors()["context"], expected, atol=1e-5, rtol=1e-4)
    assert set(rows[0]["terms"]) == {"cross_entropy", "prograd"}


def test_kgcoop_holds_the_classes_with_the_templates_of_the_data():
    train = make_train()
    task = Task(train.classes, ["an old drawing of the {}."], train.words)
    model = build(make_encoder(), task, load_recipe("kgcoop", {}, "tiny"), stage=0, seed=1)
    term = KnowledgeGuided(KnowledgeGuidedSettings(), model)
    batch = {"labels": torch.tensor([0]), "features": torch.nn.functional.normalize(torch.ones(1, 16), dim=-1)}
    after = model.text_features(train.classes).double()
    before = model.zero_shot.text_features(train.classes, task.templates).double()
    expected = 1 - float((after * before).sum(dim=1).mean())
    value = term.loss(Outputs(model.parameterization, batch, model.zero_shot))
    assert value.item() == pytest.approx(expected, abs=1e-6)
    assert expected > 1e-4
    value.backward()
    assert float(model.parameterization.trainables()["context"].grad.abs().sum()) > 0


def test_kgcoop_stays_nearer_than_coop(encoder, train, cache):
    def change(method):
        recipe = load_recipe(method, {**QUICK, "solver.steps": 40, "solver.learning_rate": 0.3}, "tiny")
        tuned = fit(encoder, train, recipe, cache=cache, progress=False)
        return float(knowledge_guided(tuned.text_features(train.classes), tuned.zero_shot.text_features(train.classes)))

    assert change("kgcoop") < change("coop") / 2


def test_a_zero_shot_text_side_is_refused():
    train = make_train()
    model = build(make_encoder(), Task(train.classes, train.templates), load_recipe("ft", {}, "tiny"), stage=0, seed=1)
    with pytest.raises(InputError, match="does not tune them"):
        KnowledgeGuided(KnowledgeGuidedSettings(), model)
