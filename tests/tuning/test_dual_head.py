"""DePT against a computation in NumPy written from its formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tuning_toy import QUICK

from calibrant.errors import InputError
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.objectives import dual_head
from calibrant.tuning.optimization import decay_groups
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.parameterizations.base import cosine_logits
from calibrant.tuning.solvers.steps_settings import StepsSettings


def cross_entropy(logits, labels):
    likely = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -likely[np.arange(len(labels)), labels].mean()


def test_the_loss():
    rng = np.random.default_rng(0)
    similarity, text, image = rng.normal(0, 3, (3, 5, 4))
    labels = rng.integers(0, 4, 5)
    both = cross_entropy(np.concatenate([text, image]), np.concatenate([labels, labels]))
    expected = 0.3 * cross_entropy(similarity, labels) + 0.7 * both
    tensors = [torch.from_numpy(values) for values in (similarity, text, image, labels, labels)]
    assert float(dual_head(*tensors, 0.7)) == pytest.approx(expected, abs=1e-10)


@pytest.fixture
def tuned(encoder, train, cache):
    return fit(encoder, train, load_recipe("dept", QUICK, "tiny"), cache=cache, progress=False)


def numbers(tensor):
    return tensor.detach().double().numpy()


def test_answers_to_the_tuned_list_mix_both_heads(tuned, train, pixels):
    part = tuned.parameterization
    image = numbers(tuned.image_features(pixels))
    similarity = numbers(tuned.encoder.logit_scale) * image @ numbers(tuned.text_features(train.classes)).T
    weighted = numbers(part.image_channels.scale) * 10 * image + numbers(part.image_channels.bias)
    linear = weighted @ numbers(part.head.weight).T + numbers(part.head.bias)
    got = tuned.logits(pixels, train.classes)
    np.testing.assert_allclose(got.numpy(), 0.3 * similarity + 0.7 * linear, atol=1e-4)
    reversed_list = tuned.logits(pixels, train.classes[::-1])
    np.testing.assert_allclose(reversed_list.numpy(), similarity[:, ::-1], atol=1e-4)
    assert np.abs(linear - similarity).max() > 0.1


def test_the_loss_of_a_batch_reads_both_heads(tuned, train, pixels):
    from calibrant.tuning.objectives.dual_head import DualHeadLoss

    part, labels = tuned.parameterization, torch.from_numpy(train.labels[:4])
    outputs = Outputs(part, {"labels": labels, "pixels": pixels}, tuned.zero_shot)
    text, image = part.text_features(train.classes), tuned.image_features(pixels)
    rows = [(part.text_channels, text[labels]), (part.image_channels, image)]
    linear = [numbers(part.head(channels.scale * 10 * features + channels.bias)) for channels, features in rows]
    similarity = numbers(cosine_logits(image, text, tuned.encoder))
    labels = labels.numpy()
    both = cross_entropy(np.concatenate(linear), np.concatenate([labels, labels]))
    expected = 0.3 * cross_entropy(similarity, labels) + 0.7 * both
    assert float(DualHeadLoss(None).loss(outputs).detach()) == pytest.approx(expected, abs=1e-4)


def test_new_layers_learn_faster_than_the_context(tuned):
    settings = StepsSettings(
        **{key: value for key, value in load_recipe("dept").stages[0].solver.items() if key != "name"}
    )
    trainables = tuned.parameterization.trainables()
    groups = decay_groups(trainables, settings)
    factor = {id(tensor): group["factor"] for group in groups for tensor in group["params"]}
    expected = {name: 1.0 if name == "context" else 6.5 for name in trainables}
    assert {name: factor[id(tensor)] for name, tensor in trainables.items()} == expected


def test_the_factor_is_that_of_the_step(encoder, train, cache):
    """One plain gradient step moves each tensor by factor x learning rate x gradient."""
    plain = {"optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 0, "warmup": 0, "batch_size": 20, "views": 1}
    changes = {f"solver.{key}": value for key, value in plain.items()}
    recipes = [load_recipe("dept", {**changes, "solver.steps": steps}, "tiny") for steps in (0, 1)]
    more = load_recipe("dept", {**changes, "solver.steps": 1, "solver.rate_factors": {"head": 13}}, "tiny")
    start, one, faster = (fit(encoder, train, r, cache=cache, progress=False).tensors() for r in (*recipes, more))
    for name, tensor in start.items():
        expected = tensor + (2 if name.startswith("head") else 1) * (one[name] - tensor)
        torch.testing.assert_close(faster[name], expected, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("dept", {"solver.rate_factors": {"heads": 2}}, "unknown trained tensor in solver.rate_factors 'heads'"),
        ("coop", {"objective": {"name": "dual_head"}}, "needs parameterization 'dual_head', not 'text_context'"),
    ],
)
def test_what_does_not_fit_is_refused(method, changes, words, encoder, train, cache):
    with pytest.raises(InputError, match=words) as caught:
        fit(encoder, train, load_recipe(method, {**QUICK, **changes}, "tiny"), cache=cache, progress=False)
    assert "\n" not in str(caught.value)
