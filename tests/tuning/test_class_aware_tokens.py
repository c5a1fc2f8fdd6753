"""TCP: tokens made of each class's zero-shot embedding, deep in the text tower."""

from __future__ import annotations

import pytest
import torch
from plain_prompts import double, plain_features

from calibrant.errors import InputError
from calibrant.models.preprocessing import draws
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.parameterizations import class_aware_tokens
from calibrant.tuning.parameterizations.class_aware_tokens import ClassAwareTokens, ClassAwareTokensSettings
from calibrant.tuning.task import Task

TASK = Task(["cat", "red car", "tree"], ["a photo of a {}.", "art of a {}."], {"tree": ("tree", "oak")})
NAMES = ["tree", "a name never seen", "cat"]


def make(encoder, **settings):
    model = ClassAwareTokens(ClassAwareTokensSettings(tokens=3, hidden=8, **settings), encoder, TASK, draws(1, "test"))
    with torch.no_grad():
        model.context.mul_(20)
    return model


def zero_shot(network, tokenizer, name):
    """The mean over templates and synonyms; a template is a context of word embeddings."""
    embed = network.token_embedding.weight
    rows = [
        plain_features(network, tokenizer, word, embed[tokenizer.encode(template.partition("{}")[0])])
        for template in TASK.templates
        for word in TASK.synonyms(name)
    ]
    mean = torch.stack(rows).mean(dim=0)
    return mean / mean.norm()


def plain_class(model, parameters, weight, name):
    """One class written from the formula, in float64."""
    network, tokenizer = double(model.encoder), model.encoder._tokenizer
    context, w1, b1, w2, b2 = parameters
    hidden = w1 @ zero_shot(network, tokenizer, name).detach() + b1
    tokens = (w2 @ (hidden * torch.sigmoid(1.702 * hidden)) + b2).view(3, 16)

    def edit(block, x):
        if block != 1:
            return x
        mixed = weight * tokens + (1 - weight) * x[:, 1:4]
        return torch.cat([x[:, :1], mixed, x[:, 4:]], dim=1)

    rows = [plain_features(network, tokenizer, word, context, "end", edit) for word in TASK.synonyms(name)]
    mean = torch.stack(rows).mean(dim=0)
    return mean / mean.norm()


@pytest.mark.parametrize("weight", [1.0, 0.3])
def test_features_and_gradients_are_those_of_the_formula(weight, encoder):
    encoder.requires_grad_(False)
    model = make(encoder, weight=weight)
    trained = list(model.trainables().values())
    exact = [tensor.detach().double().requires_grad_() for tensor in trained]
    got = model.text_features(NAMES)
    expected = torch.stack([plain_class(model, exact, weight, name) for name in NAMES])
    torch.testing.assert_close(got.double(), expected, atol=1e-5, rtol=0)
    weights = torch.randn(got.shape, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad((got * weights).sum(), trained)
    references = torch.autograd.grad((expected * weights).sum(), exact)
    for gradient, reference in zip(gradients, references, strict=True):
        assert float(reference.abs().max()) > 1e-3
        torch.testing.assert_close(gradient.double(), reference, atol=1e-5, rtol=0)


def test_zero_shot_embeddings_are_computed_once_and_can_be_trained_on_afterwards(encoder, monkeypatch):
    encoder.requires_grad_(False)
    model, asked = make(encoder), []
    classifier = class_aware_tokens.text_classifier
    monkeypatch.setattr(
        class_aware_tokens,
        "text_classifier",
        lambda encoder, names, *more: asked.append(list(names)) or classifier(encoder, names, *more),
    )
    with torch.inference_mode():
        model.text_features(["cat", "tree"])
    model.text_features(["tree", "dog", "cat"]).sum().backward()
    model.text_features(["tree", "dog", "tree"])
    assert asked == [["cat", "tree"], ["dog"]]
    model.text_features(["cat"], ["a drawing of a {}."])
    assert asked[2:] == [["cat"]]


def test_templates_make_the_tokens(encoder):
    model = make(encoder)
    with torch.no_grad():
        other = model.text_features(["cat"], ["a drawing of a {}."])
        assert not torch.allclose(model.text_features(["cat"]), other, atol=1e-4)


@pytest.mark.parametrize(("layers", "block"), [(12, 8), (4, 3), (2, 1)])
def test_the_block_is_behind_two_thirds_of_the_tower(layers, block, encoder):
    encoder.text_layers = layers
    assert make(encoder).block == block


def test_a_tower_that_is_too_shallow_or_of_another_make_is_refused(encoder):
    with pytest.raises(InputError, match=r"toy has 2 blocks, numbered from 0: parameterization\.block 8 is beyond"):
        make(encoder, block=8)
    encoder.text_layers = 0
    with pytest.raises(InputError, match="takes no deep tokens"):
        make(encoder)


def test_training_lowers_the_loss(encoder, train, cache):
    rows = []
    recipe = load_recipe("tcp", {"solver.steps": 20, "solver.batch_size": 20, "solver.learning_rate": 0.01}, "tiny")
    tuned = fit(encoder, train, recipe, cache=cache, progress=False, log=rows.append)
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert list(rows[0]["terms"]) == ["cross_entropy", "knowledge_guided"]
    assert tuned.text_features(["a name never seen"]).shape == (1, 16)
