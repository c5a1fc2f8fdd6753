"""ProDA: the bound and the overlap against loops, and which prompts a step sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_prompts import double, plain_features
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.preprocessing import draws
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.objectives import cross_entropy, prompt_overlap, upper_bound_logits
from calibrant.tuning.parameterizations.prompt_distribution import PromptDistribution, PromptDistributionSettings
from calibrant.tuning.task import Task

TASK = Task(["cat", "red car", "tree"], ["a photo of a {}."], {"tree": ("tree", "oak")})
POSITIONS = ["front", "middle", "end", "end"]


@pytest.fixture
def model(encoder):
    settings = PromptDistributionSettings(tokens=3, front=1, middle=1, end=2, per_step=2)
    model = PromptDistribution(settings, encoder, TASK, draws(1, "test"))
    with torch.no_grad():
        model.contexts.mul_(20)
    return model


@pytest.fixture
def images():
    return F.normalize(torch.randn(5, 16, generator=torch.Generator().manual_seed(2)), dim=-1)


def unit(rng, *shape):
    rows = rng.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def loop_logits(z, f, labels, s):
    n, classes, dimensions = f.shape
    w = f.mean(axis=0)
    covariance = np.zeros((dimensions, classes, classes))
    for k in range(n):
        for d in range(dimensions):
            deviation = f[k, :, d] - w[:, d]
            covariance[d] += np.outer(deviation, deviation) / (n + 1)
    logits = np.zeros((len(z), classes))
    for i, y in enumerate(labels):
        a = sum(z[i, d] ** 2 * covariance[d] for d in range(dimensions))
        for j in range(classes):
            logits[i, j] = s * z[i] @ w[j] + 0.5 * s**2 * (a[y, y] + a[j, j] - 2 * a[y, j])
    return logits


@given(st.integers(1, 4), st.integers(2, 5), st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_bound_is_that_of_the_formula(count, classes, prompts, seed):
    rng = np.random.default_rng(seed)
    z, f, labels, s = unit(rng, count, 6), unit(rng, prompts, classes, 6), rng.integers(0, classes, count), 7.0
    got = upper_bound_logits(*map(torch.from_numpy, (z, f, labels)), torch.tensor(s, dtype=torch.float64))
    np.testing.assert_allclose(got.numpy(), loop_logits(z, f, labels, s), atol=1e-9)


def test_the_bound_is_above_the_expected_cross_entropy():
    rng = np.random.default_rng(0)
    z, f, labels, s = unit(rng, 3, 6), unit(rng, 4, 3, 6), rng.integers(0, 3, 3), 5.0
    tensors = [torch.from_numpy(values) for values in (z, f, labels)]
    bound = cross_entropy(upper_bound_logits(*tensors, torch.tensor(s, dtype=torch.float64)), tensors[2])
    # class embeddings drawn with exactly the mean and covariance that the bound is about
    noise = rng.normal(size=(4000, 4, 6))
    drawn = f.mean(axis=0) + np.einsum("tkd,kcd->tcd", noise, f - f.mean(axis=0)) / np.sqrt(5)
    logits = torch.from_numpy(s * np.einsum("nd,tcd->tnc", z, drawn))
    losses = torch.stack([cross_entropy(rows, tensors[2]) for rows in logits])
    assert float(bound) > float(losses.mean() + 4 * losses.std() / len(losses) ** 0.5)
    plain = cross_entropy(torch.from_numpy(s * z @ f.mean(axis=0).T), tensors[2])
    assert float(losses.mean()) > float(plain)


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_overlap_is_that_of_the_formula(count, seed):
    rows = unit(np.random.default_rng(seed), count, 4)
    pairs = [abs(rows[i] @ rows[j]) for i in range(count) for j in range(count) if i != j]
    assert float(prompt_overlap(torch.from_numpy(rows))) == pytest.approx(np.mean(pairs), abs=1e-12)


def plain_prompts(model, contexts, names):
    network, tokenizer = double(model.encoder), model.encoder._tokenizer
    rows = []
    for context, position in zip(contexts, POSITIONS, strict=True):
        for name in names:
            words = [plain_features(network, tokenizer, word, context, position) for word in TASK.synonyms(name)]
            mean = torch.stack(words).mean(dim=0)
            rows.append(mean / mean.norm())
    return torch.stack(rows).view(len(POSITIONS), len(names), -1)


def test_prompts_and_their_gradients_are_those_of_whole_prompts(model):
    names = ["tree", "a name never seen"]
    exact = model.contexts.detach().double().requires_grad_()
    got, expected = model.prompt_features(names), plain_prompts(model, exact, names)
    torch.testing.assert_close(got.double(), expected, atol=1e-5, rtol=0)
    weights = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((got * weights).sum(), model.contexts)
    (reference,) = torch.autograd.grad((expected * weights).sum(), exact)
    torch.testing.assert_close(gradient.double(), reference, atol=1e-5, rtol=0)
    nameless = model.nameless_features().double()
    torch.testing.assert_close(nameless, plain_prompts(model, exact, [""])[:, 0], atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_mean_of_all_prompts_answers(model, images):
    names = ["cat", "zebra"]
    mean = model.prompt_features(names).mean(dim=0)
    assert bool((mean.norm(dim=-1) < 0.999).all())
    expected = model.encoder.logit_scale * images @ mean.T
    torch.testing.assert_close(model.logits(images, names), expected)
    torch.testing.assert_close(model.text_features(names), F.normalize(mean, dim=-1))
    model.contexts.mul_(2)
    assert not torch.allclose(model.logits(images, names), expected), "an old mean was remembered"
    model.contexts.mul_(0.5)
    torch.testing.assert_close(model.logits(images, names), expected)


def test_a_step_sees_a_few_prompts_and_only_those_learn(model):
    seen = set()
    for step in range(20):
        with model.at_step(draws(1, "test", step)):
            chosen = list(model._chosen)
            features = model.prompt_features(["cat"])
            loss = features.sum() + model.text_features(["dog"]).sum() + model.nameless_features().sum()
        assert len(set(chosen)) == len(features) == 2
        (gradient,) = torch.autograd.grad(loss, model.contexts)
        assert gradient.abs().amax(dim=(1, 2)).nonzero().flatten().tolist() == sorted(chosen)
        seen.update(chosen)
    assert seen == {0, 1, 2, 3}
    assert len(model.prompt_features(["cat"])) == 4


def test_training_lowers_the_loss_and_repeats_itself(encoder, train, cache):
    # few prompts and short ones, since the text tower of the toy reads 24 tokens
    changes = {
        "parameterization": {"name": "prompt_distribution", "tokens": 4, "front": 1, "middle": 1, "end": 2,
                             "per_step": 2},
        "solver.steps": 40, "solver.batch_size": 20, "solver.learning_rate": 0.02,
    }  # fmt: skip
    recipe, runs = load_recipe("proda", changes, "tiny"), []
    for _ in range(2):
        rows: list[dict] = []
        tuned = fit(encoder, train, recipe, cache=cache, progress=False, log=rows.append)
        runs.append(tuned.tensors()["contexts"])
    losses = [row["loss"] for row in rows]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    assert torch.equal(*runs)


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("coop", {"objective": {"name": "prompt_distribution"}}, "'text_context' has none"),
        ("proda+label_smoothing", {"parameterization.tokens": 4}, "one label for each image"),
        ("proda", {"parameterization.per_step": 40}, "add up to 32 prompts, fewer than 'per_step'"),
    ],
)
def test_what_does_not_fit_is_refused(method, changes, words, encoder, train, cache):
    def tune():
        recipe = load_recipe(method, {"solver.batch_size": 8, **changes}, "tiny")
        fit(encoder, train, recipe, cache=cache, progress=False)

    with pytest.raises(InputError, match=words):
        tune()
