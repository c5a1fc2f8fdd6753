"""PromptSRC's and CoPrompt's terms against loops written from their formulas, and what they refuse."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.errors import InputError
from calibrant.models.text import encode_prompts
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.fitting import fit
from calibrant.tuning.loop import Step
from calibrant.tuning.objectives.cross_entropy import CrossEntropy
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.rand_augment import CHANGES, rand_augment, view
from calibrant.tuning.recipe import load_recipe
from calibrant.tuning.regularizers import adapted_consistency, feature_consistency, logit_consistency
from calibrant.tuning.regularizers.adapted_consistency import AdaptedConsistency, AdaptedConsistencySettings
from calibrant.tuning.regularizers.image_consistency import ImageConsistency, ImageConsistencySettings
from calibrant.tuning.regularizers.logit_consistency import LogitConsistency, LogitConsistencySettings
from calibrant.tuning.regularizers.text_consistency import TextConsistency, TextConsistencySettings
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

sizes = (st.integers(1, 5), st.integers(2, 6), st.integers(0, 2**32 - 1))


def unit(rng, *shape):
    rows = rng.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def made(encoder, train, method):
    """A model at its start; the full model with a text and image side that moved."""
    model = build(encoder, Task(train.classes, train.templates, train.words), load_recipe(method), stage=0, seed=1)
    with torch.no_grad():
        for tensor in model.parameterization.trainables().values():
            tensor.add_(0.02 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(3)))
    return model


def outputs_of(model, batch):
    return Outputs(model.parameterization, batch, model.zero_shot)


@given(*sizes)
@settings(max_examples=20, deadline=None)
def test_feature_consistency(count, width, seed):
    tuned, frozen = unit(np.random.default_rng(seed), 2, count, width)
    expected = sum(abs(a - b) for x, y in zip(tuned, frozen, strict=True) for a, b in zip(x, y, strict=True))
    got = feature_consistency(torch.from_numpy(tuned), torch.from_numpy(frozen))
    assert float(got) == pytest.approx(expected / (count * width), abs=1e-12)


@given(*sizes)
@settings(max_examples=20, deadline=None)
def test_logit_consistency(count, classes, seed):
    tuned, frozen = np.random.default_rng(seed).normal(0, 8, (2, count, classes))
    expected = 0.0
    for row, reference in zip(tuned, frozen, strict=True):
        log_p, log_q = row - np.logaddexp.reduce(row), reference - np.logaddexp.reduce(reference)
        expected += sum(math.exp(q) * (q - p) for p, q in zip(log_p, log_q, strict=True))
    got = logit_consistency(torch.from_numpy(tuned), torch.from_numpy(frozen))
    assert float(got) == pytest.approx(expected / (count * classes), abs=1e-10)


@given(*sizes)
@settings(max_examples=20, deadline=None)
def test_adapted_consistency(count, width, seed):
    rng = np.random.default_rng(seed)
    texts, described = unit(rng, 2, count + 1, width)
    images, others = unit(rng, 2, count, width)
    expected = 2.0
    expected -= sum(float(a @ b) for a, b in zip(texts, described, strict=True)) / (count + 1)
    expected -= sum(float(a @ b) for a, b in zip(images, others, strict=True)) / count
    got = adapted_consistency(*map(torch.from_numpy, (texts, described, images, others)))
    assert float(got) == pytest.approx(expected, abs=1e-10)


def test_terms_compare_with_the_zero_shot_model(encoder, train, pixels):
    model = made(encoder, train, "flyp")
    outputs = outputs_of(model, {"labels": torch.tensor([0, 1, 2, 0]), "pixels": pixels})
    templates = ["a {}.", "the {} again."]
    frozen = model.zero_shot.text_features(train.classes, templates).double()
    images = model.zero_shot.image_features(pixels).double()
    tuned = model.text_features(train.classes).double()
    term = TextConsistency(TextConsistencySettings(templates=templates), model).loss(outputs)
    assert float(term.detach()) == pytest.approx(float((tuned - frozen).abs().mean()), rel=1e-4)
    term = ImageConsistency(ImageConsistencySettings(), model).loss(outputs)
    assert float(term.detach()) == pytest.approx(float((model.image_features(pixels) - images).abs().mean()), rel=1e-4)
    reference = torch.log_softmax(model.zero_shot.logit_scale * images @ frozen.T, dim=1)
    answer = torch.log_softmax(model.logits(pixels, train.classes).double(), dim=1)
    term = LogitConsistency(LogitConsistencySettings(templates=templates), model).loss(outputs)
    assert float(term.detach()) == pytest.approx(float((reference.exp() * (reference - answer)).mean()), rel=1e-3)


def test_terms_vanish_before_tuning_and_reach_the_tuned_tensors(encoder, train, pixels):
    task = Task(train.classes, train.templates, train.words)
    model = build(encoder, task, load_recipe("flyp"), stage=0, seed=1)
    batch = {"labels": torch.tensor([0, 1, 2, 0]), "pixels": pixels}
    parts = [
        TextConsistency(TextConsistencySettings(), model),
        ImageConsistency(ImageConsistencySettings(), model),
        LogitConsistency(LogitConsistencySettings(), model),
    ]
    assert all(float(part.loss(outputs_of(model, batch)).detach()) < 1e-6 for part in parts)
    moved = made(encoder, train, "flyp")
    outputs = outputs_of(moved, batch)
    torch.stack([part.loss(outputs) for part in parts]).sum().backward()
    for name, tensor in moved.parameterization.trainables().items():
        assert (tensor.grad is not None) == ("logit_bias" not in name), name
    assert all(tensor.grad is None for tensor in encoder.parameters())


def test_features_of_their_own_norm_are_compared_by_direction(encoder, train, pixels):
    model = made(encoder, train, "flcp-ft")
    outputs = outputs_of(model, {"labels": torch.tensor([0, 1, 2, 0]), "pixels": pixels})
    lengths = outputs.image_features.norm(dim=1, keepdim=True)
    assert (lengths - 1).abs().max() > 0.1
    tuned, frozen = (outputs.image_features / lengths).detach(), model.zero_shot.image_features(pixels)
    term = ImageConsistency(ImageConsistencySettings(), model).loss(outputs)
    assert float(term.detach()) == pytest.approx(float((tuned - frozen).abs().mean()), rel=1e-5)


@pytest.mark.parametrize("name", ["imagenet_60", "imagenet_80"])
def test_named_templates(encoder, train, name):
    part = TextConsistency(TextConsistencySettings(templates=name), made(encoder, train, "coop"))
    assert len(set(part.templates)) == int(name[-2:])
    assert all("{}" in template for template in part.templates)


def test_every_class_has_a_description_drawn_anew(encoder, train, pixels):
    model = made(encoder, train, "flyp")
    sentences = {
        "cat": ["it purrs", "it has whiskers"],
        "red car": ["four wheels"],
        "tree": ["leaves", "bark", "roots"],
    }
    part = AdaptedConsistency(AdaptedConsistencySettings(descriptions=sentences), model)
    batch = {"labels": torch.tensor([0, 1, 2, 0]), "pixels": pixels}
    seen = set()
    for seed in range(40):
        changed = part.on_batch(batch, np.random.default_rng(seed))
        seen.add(tuple(changed["description"].tolist()))
    assert {row[1] for row in seen} == {0}
    assert {row[0] for row in seen} == {0, 1}
    assert {row[2] for row in seen} == {0, 1, 2}
    chosen = [sentences[name][row] for name, row in zip(train.classes, changed["description"], strict=True)]
    described = encode_prompts(encoder, chosen)
    term = part.loss(outputs_of(model, changed))
    texts = (model.text_features(train.classes) * described).sum(1).mean()
    others = model.zero_shot.image_features(changed["other_view"])
    images = (model.image_features(changed["pixels"]) * others).sum(1).mean()
    assert float(term.detach()) == pytest.approx(float(2 - texts - images), abs=1e-5)
    assert not torch.equal(changed["pixels"], changed["other_view"])
    assert part.on_batch(batch, np.random.default_rng(39))["other_view"].equal(changed["other_view"])


def test_without_descriptions_class_prompts_describe(encoder, train):
    part = AdaptedConsistency(AdaptedConsistencySettings(), made(encoder, train, "flyp"))
    assert [len(features) for features in part.described] == [1, 1, 2]


def test_a_file_of_descriptions_becomes_part_of_the_recipe(tmp_path):
    path = tmp_path / "descriptions.json"
    path.write_text(json.dumps({"cat": ["it purrs"]}))
    given = {"regularizers.adapted_consistency.descriptions": str(path)}
    recipe = load_recipe("flyp+adapted_consistency", given)
    path.unlink()
    assert recipe.stages[0].regularizers["adapted_consistency"]["descriptions"] == {"cat": ["it purrs"]}
    with pytest.raises(InputError, match="descriptions"):
        load_recipe("flyp+adapted_consistency", given)


def test_a_class_without_a_description_is_named(encoder, train):
    with pytest.raises(InputError, match="no sentence for class 'red car'"):
        AdaptedConsistency(AdaptedConsistencySettings(descriptions={"cat": ["it purrs"]}), made(encoder, train, "flyp"))


@pytest.mark.parametrize(
    ("part", "chosen", "method", "reason"),
    [
        (TextConsistency, TextConsistencySettings(), "ft", "does not tune them; choose a method that tunes the text"),
        (ImageConsistency, ImageConsistencySettings(), "coop", "choose a method that tunes the image side"),
        (ImageConsistency, ImageConsistencySettings(), "flcp-lp", "choose a method that tunes the image side"),
        (AdaptedConsistency, AdaptedConsistencySettings(), "coop", "choose a method that tunes the image side"),
        (AdaptedConsistency, AdaptedConsistencySettings(), "ft", "choose a method that tunes the text side"),
    ],
)
def test_impossible_pairs_are_refused_with_the_reason(encoder, train, part, chosen, method, reason):
    model = build(encoder, Task(train.classes, train.templates), load_recipe(method), stage=0, seed=1)
    with pytest.raises(InputError, match=reason):
        part(chosen, model)


def test_cached_features_have_no_second_view(encoder, train):
    part = AdaptedConsistency(AdaptedConsistencySettings(), made(encoder, train, "flyp"))
    with pytest.raises(InputError, match="two views of each image"):
        part.on_batch({"labels": torch.tensor([0]), "features": torch.ones(1, 16)}, np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_changes_keep_size_and_grow_with_their_strength(name):
    from PIL import Image

    grey = np.random.default_rng(0).integers(40, 200, (12, 12, 3), dtype=np.uint8)
    image = Image.fromarray(grey)
    apart = []
    for strength in (0.0, 1 / 3, 1.0):
        result = np.asarray(CHANGES[name](image, strength))
        assert result.shape == grey.shape
        apart.append(float(np.abs(result.astype(float) - grey).mean()))
    if name in ("autocontrast", "equalize", "identity"):
        assert apart[0] == apart[1] == apart[2]
    else:
        assert apart[0] == 0
        assert 0 <= apart[1] <= apart[2]
        assert apart[2] > 0


def test_a_view_without_changes_is_the_image(encoder, pixels):
    same = view(pixels, np.random.default_rng(0), encoder.preprocessing, operations=0, magnitude=10)
    torch.testing.assert_close(same, pixels, atol=1e-5, rtol=0)


def test_random_changes_depend_on_the_draw_alone():
    image = np.random.default_rng(0).integers(0, 256, (10, 10, 3), dtype=np.uint8)
    one, two, three = (rand_augment(image, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != three).any()


@pytest.mark.parametrize("method", ["promptsrc+dor", "coprompt+dor"])
def test_dor_goes_with_both_methods(encoder, train, tmp_path, method):
    words = tmp_path / "words.txt"
    words.write_text("lamp\nriver\nspoon\nviolin\n")
    quick = {"solver.steps": 2, "solver.batch_size": 8, "regularizers.dor.vocabulary": str(words)}
    rows = []
    fit(encoder, train, load_recipe(method, quick, profile="tiny"), log=rows.append, progress=False)
    own = {"promptsrc+dor": {"text_consistency", "image_consistency", "logit_consistency"}}
    expected = {"cross_entropy", "dor", *own.get(method, {"adapted_consistency"})}
    assert set(rows[0]["terms"]) == expected
    assert load_recipe(method).stages[0].regularizers["dor"]["weight"] == 2


def test_published_weights_multiply_the_terms(encoder, train, pixels):
    recipe = load_recipe("promptsrc", profile="tiny")
    model = build(encoder, Task(train.classes, train.templates, train.words), recipe, stage=0, seed=1)
    regularizers = {
        name: REGULARIZERS.build(name, given, model) for name, given in recipe.stages[0].regularizers.items()
    }
    step = Step(model.parameterization, CrossEntropy(Settings()), regularizers, model.zero_shot)
    terms = step({"labels": torch.tensor([0, 1, 2, 0]), "pixels": pixels})
    text, frozen_text = model.text_features(train.classes), model.zero_shot.text_features(train.classes)
    images, frozen_images = model.image_features(pixels), model.zero_shot.image_features(pixels)
    assert float(terms["text_consistency"].detach()) == pytest.approx(25 * float((text - frozen_text).abs().mean()))
    assert float(terms["image_consistency"].detach()) == pytest.approx(
        10 * float((images - frozen_images).abs().mean()), rel=1e-5
    )
