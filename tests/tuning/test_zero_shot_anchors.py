"""Lipsum-FT and CAR-FT: what ties the tuned image tower to the untouched one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tuning_toy import QUICK

from calibrant.errors import InputError
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.regularizers import context_distribution, random_text
from calibrant.tuning.regularizers.context_distribution import context_features
from calibrant.tuning.regularizers.random_text import random_tokens
from calibrant.tuning.task import Task

SEEDS = st.integers(0, 2**32 - 1)
PLAIN = {**QUICK, "solver.precision": "fp32"}


@given(st.integers(1, 5), st.integers(1, 6), st.floats(0.1, 100), SEEDS)
@settings(max_examples=25, deadline=None)
def test_random_text(count, texts, scale, seed):
    rng = np.random.default_rng(seed)
    now, then, r = rng.normal(size=(count, 4)), rng.normal(size=(count, 4)), rng.normal(size=(texts, 4))
    expected = 0.0
    for x, x0 in zip(now, then, strict=True):
        changes = [scale * float(x @ text) - scale * float(x0 @ text) for text in r]
        expected += sum(change**2 for change in changes) / (2 * texts) / count
    got = random_text(*map(torch.from_numpy, (now, then, r)), scale)
    assert float(got) == pytest.approx(expected, rel=1e-9)


@given(st.integers(1, 5), st.integers(2, 6), SEEDS)
@settings(max_examples=25, deadline=None)
def test_context_distribution(count, contexts, seed):
    now, then = np.random.default_rng(seed).normal(0, 3, (2, count, contexts))
    p, q = (np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True) for rows in (then, now))
    expected = sum(p[i, t] * math.log(p[i, t] / q[i, t]) for i in range(count) for t in range(contexts)) / count
    got = context_distribution(torch.from_numpy(now), torch.from_numpy(then))
    assert float(got) == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_both_readings_have_gradients():
    logits, fixed = torch.randn(2, 3, 4, dtype=torch.float64)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: context_distribution(x, fixed), logits)
    assert torch.autograd.gradcheck(lambda x: context_distribution(fixed, x), logits)


def test_random_tokens_are_words_between_begin_and_end(encoder):
    ids = random_tokens(encoder, 500, 8, np.random.default_rng(0))
    assert ids.shape == (500, 10)
    assert (ids[:, 0] == 49406).all()
    assert (ids[:, -1] == 49407).all()
    inside = ids[:, 1:-1].numpy()
    assert inside.max() < 49406
    # uniform over the vocabulary: about as many in each tenth of it
    shares = np.histogram(inside, 10, (0, 49406))[0] / inside.size
    assert shares.min() > 0.08
    assert shares.max() < 0.12
    features = encoder.encode_text(ids)
    assert torch.isfinite(features).all()


def test_random_tokens_are_drawn_anew_at_every_step_and_the_same_in_another_run(encoder, train, monkeypatch):
    from calibrant.tuning.regularizers.random_text import RandomText

    seen = []
    original = RandomText.loss

    def loss(self, outputs):
        seen.append(outputs.batch["random_text"].clone())
        return original(self, outputs)

    monkeypatch.setattr(RandomText, "loss", loss)
    for _ in range(2):
        fit(encoder, train, load_recipe("lipsum-ft", {**PLAIN, "solver.steps": 2}, "tiny"), progress=False)
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[1], seen[3])


def test_a_vocabulary_of_unknown_size_is_refused(encoder):
    encoder.about = {**encoder.about, "architecture": {"embed_dim": 16}}
    with pytest.raises(InputError, match="whose vocabulary is of unknown size"):
        random_tokens(encoder, 1, 8, np.random.default_rng(0))


def test_strings_longer_than_the_context_are_refused(encoder):
    with pytest.raises(InputError, match="101 tokens"):
        random_tokens(encoder, 1, 99, np.random.default_rng(0))


def test_contexts_are_means_over_classes(encoder):
    task = Task(["cat", "dog"], ["{}"], {"dog": ("dog", "hound")})
    got = context_features(encoder, task, ["a photo of a {}.", "a sketch of a {}."])

    def unit(rows):
        return rows / rows.norm(dim=-1, keepdim=True)

    def encoded(text):
        return encoder.encode_text(encoder.tokenize([text]))[0].detach()

    for row, template in zip(got, ("a photo of a {}.", "a sketch of a {}."), strict=True):
        dog = unit((encoded(template.replace("{}", "dog")) + encoded(template.replace("{}", "hound"))) / 2)
        expected = unit((encoded(template.replace("{}", "cat")) + dog) / 2)
        torch.testing.assert_close(row, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("method", "term"),
    [
        ("lipsum-ft", "random_text"),
        ("car-ft", "context_distribution"),
        ("car-ft@reverse", "context_distribution"),
    ],
)
def test_the_term_starts_at_0_and_holds_the_tower_back(method, term, encoder, train):
    """With a heavy weight the images stay nearer to where they were."""

    def run(weight):
        rows = []
        settings = {**PLAIN, f"regularizers.{term}.weight": weight}
        fit(encoder, train, load_recipe(method, settings, "tiny"), progress=False, log=rows.append)
        return [row["terms"][term] / weight for row in rows]

    free, held = run(1e-6), run(10.0)
    assert abs(free[0]) < 1e-9
    assert held[-1] < free[-1] / 1.5


def test_one_context_is_refused(encoder, train):
    settings = {**PLAIN, "regularizers.context_distribution.templates": ["a photo of a {}."]}
    with pytest.raises(InputError, match="at least two templates"):
        fit(encoder, train, load_recipe("car-ft", settings, "tiny"), progress=False)


@pytest.mark.parametrize("term", ["random_text", "context_distribution"])
def test_an_untuned_image_tower_is_refused(term, encoder, train):
    with pytest.raises(InputError, match=f"'{term}' holds tuned image features .* 'text_context' does not tune them"):
        fit(encoder, train, load_recipe(f"coop+{term}", PLAIN, "tiny"), progress=False)


@pytest.mark.parametrize("term", ["random_text", "context_distribution"])
def test_features_that_keep_their_norm_are_compared_by_direction(term, encoder, train):
    rows = []
    recipe = load_recipe(f"flcp-ft+{term}", {**PLAIN, "solver.steps": 1}, "tiny")
    fit(encoder, train, recipe, progress=False, log=rows.append)
    assert rows[0]["terms"][term] == pytest.approx(0, abs=1e-6)


def test_the_fixed_temperature_and_the_untrained_scale(encoder, train):
    rows = []
    recipe = load_recipe("flcp", {**PLAIN, "objective.temperature": 1e9}, "tiny")
    tuned = fit(encoder, train, recipe, progress=False, log=rows.append)
    # at no temperature all pairs are alike, whatever the model's own scale
    assert rows[0]["loss"] == pytest.approx(math.log(8), abs=1e-6)
    assert tuned.logit_scale == tuned.zero_shot.logit_scale
    assert "encoder.network.logit_scale" not in tuned.tensors()
    assert "encoder.network.visual.proj" in tuned.tensors()
