"""Prompts with learned vectors before, around and behind the name, against whole prompts in float64."""

from __future__ import annotations

import pytest
import torch
from plain_prompts import double, plain_features

from calibrant.errors import InputError
from calibrant.tuning.parameterizations.class_prompts import ClassPrompts

# names that are long, hold the placeholder, or end in it
WORDS = ["cat", "an x-ray of a red car", "model X", "X", "tree"]


def vectors(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()


def features_and_gradient(features, context):
    weights = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad((features * weights).sum(), context)
    return features.detach().double(), gradient.double()


def check(encoder, position, words, context, encode):
    got = features_and_gradient(encode(words, context), context)
    exact = context.detach().double().requires_grad_()
    rows = exact if exact.ndim == 3 else [exact] * len(words)
    network = double(encoder)
    expected = torch.stack(
        [plain_features(network, encoder._tokenizer, w, row, position) for w, row in zip(words, rows, strict=True)]
    )
    features, gradient = features_and_gradient(expected, exact)
    torch.testing.assert_close(got[0], features, atol=1e-6, rtol=0)
    torch.testing.assert_close(got[1], gradient, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shared_prefix", [True, False])
@pytest.mark.parametrize("tokens", [1, 4, 5])
@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_features_and_gradients_are_those_of_whole_prompts(position, tokens, shared_prefix, encoder):
    if not shared_prefix:
        encoder.capabilities = encoder.capabilities - {"shared_prefix"}
    prompts = ClassPrompts(encoder, tokens, position)
    check(encoder, position, WORDS, vectors(tokens, 16), prompts.encode)
    check(encoder, position, WORDS, vectors(len(WORDS), tokens, 16), prompts.encode)
    check(encoder, position, [""], vectors(tokens, 16), prompts.encode)


@pytest.mark.parametrize("position", ["end", "middle", "front"])
def test_several_contexts_give_what_each_gives(position, encoder):
    prompts, contexts = ClassPrompts(encoder, 3, position), vectors(4, 3, 16)
    together = prompts.encode_each(WORDS, contexts)
    assert together.shape == (4, 5, 16)
    each = torch.stack([prompts.encode(WORDS, context) for context in contexts])
    torch.testing.assert_close(together, each, atol=1e-6, rtol=0)


def test_a_word_is_tokenized_once_and_padded_with_its_neighbours(encoder, monkeypatch):
    asked = []
    tokenize = encoder.tokenize
    monkeypatch.setattr(encoder, "tokenize", lambda texts: asked.append(list(texts)) or tokenize(texts))
    prompts = ClassPrompts(encoder, 2)
    asked.clear()
    short = prompts.ids(["cat"])
    longer = prompts.ids(["cat", "an x-ray of a red car", "cat"])
    assert asked == [["X X cat."], ["X X an x-ray of a red car."]]
    assert torch.equal(longer[0, : short.shape[1]], short[0])
    assert int(longer[0, short.shape[1] :].sum()) == 0
    assert torch.equal(longer[0], longer[2])


def test_too_long_a_prompt_names_itself_and_the_context(encoder):
    with pytest.raises(InputError, match=r"with 20 context tokens: prompt '(X )+a long name of a thing\.'"):
        ClassPrompts(encoder, 20).ids(["cat", "a long name of a thing"])
