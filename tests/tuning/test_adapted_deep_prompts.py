"""CoPrompt's adapters on MaPLe's prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from calibrant.errors import InputError
from calibrant.tuning.fitting import fit
from calibrant.tuning.recipe import load_recipe
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

QUICK = {"solver.steps": 6, "solver.epochs": None, "solver.batch_size": 8, "solver.learning_rate": 0.01}
SMALL = {"parameterization.depth": 2, "parameterization.phrase": None}


def made(encoder, train, **settings):
    values = {**SMALL, **{f"parameterization.{key}": value for key, value in settings.items()}}
    recipe = load_recipe("coprompt", values)
    return build(encoder, Task(train.classes, train.templates, train.words), recipe, stage=0, seed=1)


def mixed(features, down, up, ratio):
    """The paper's adapter on features of any norm, in float64."""
    result = []
    for row in np.asarray(features, dtype=np.float64):
        hidden = [max(0.0, float(weights @ row)) for weights in down]
        out = [max(0.0, float(weights @ hidden)) for weights in up]
        both = ratio * np.array(out) + (1 - ratio) * row
        result.append(both / np.linalg.norm(both))
    return np.array(result)


def test_features_are_those_of_maple_through_an_adapter(encoder, train, pixels):
    model = made(encoder, train, image_ratio=0.3, text_ratio=0.6)
    plain = made(encoder, train, image_ratio=0.0, text_ratio=0.0)
    own = {name: np.asarray(tensor, dtype=np.float64) for name, tensor in model.tensors().items()}
    assert own["adapters.image_down"].shape == (4, 16)
    images = mixed(plain.image_features(pixels), own["adapters.image_down"], own["adapters.image_up"], 0.3)
    texts = mixed(plain.text_features(train.classes), own["adapters.text_down"], own["adapters.text_up"], 0.6)
    np.testing.assert_allclose(model.image_features(pixels).numpy(), images, atol=1e-5)
    np.testing.assert_allclose(model.text_features(train.classes).numpy(), texts, atol=1e-5)
    # the released code adapts features before they are normalised; without biases that is the same
    longer = mixed(7 * plain.image_features(pixels).numpy(), own["adapters.image_down"], own["adapters.image_up"], 0.3)
    np.testing.assert_allclose(longer, images, atol=1e-7)


def test_without_adapters_it_is_maple(encoder, train, pixels):
    maple = load_recipe("maple", {"parameterization.depth": 2, "parameterization.phrase": None})
    task = Task(train.classes, train.templates, train.words)
    expected = build(encoder, task, maple, stage=0, seed=1).logits(pixels, train.classes)
    got = made(encoder, train, image_ratio=0.0, text_ratio=0.0).logits(pixels, train.classes)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_gradients_reach_prompts_maps_and_both_adapters(encoder, train):
    rows = []
    recipe = load_recipe("coprompt", {**SMALL, **QUICK})
    tuned = fit(encoder, train, recipe, log=rows.append, progress=False)
    start = build(encoder, Task(train.classes, train.templates, train.words), recipe, stage=0, seed=1).tensors()
    same = [name for name, tensor in tuned.tensors().items() if torch.equal(tensor, start[name])]
    assert same == []
    assert set(rows[0]["terms"]) == {"cross_entropy", "adapted_consistency"}
    assert {name.partition(".")[0] for name in start} == {"prompts", "couplings", "adapters"}


def test_too_narrow_an_adapter_is_refused(encoder, train):
    with pytest.raises(InputError, match=r"parameterization\.reduction is 17, but toy has only 16 features"):
        made(encoder, train, reduction=17)
