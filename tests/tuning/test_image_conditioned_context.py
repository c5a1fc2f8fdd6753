"""CoCoOp: every image has its own prompts, whatever else is in the batch."""

from __future__ import annotations

import pytest
import torch
from plain_prompts import double, plain_features
from torch.nn import functional as F

from calibrant.models.preprocessing import draws
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.parameterizations import image_conditioned_context
from calibrant.tuning.parameterizations.image_conditioned_context import (
    ImageConditionedContext,
    ImageConditionedContextSettings,
)
from calibrant.tuning.task import Task

TASK = Task(["cat", "red car", "tree"], ["a photo of a {}."], {"tree": ("tree", "oak")})
NAMES = ["tree", "a name never seen", "cat"]


@pytest.fixture
def model(encoder):
    settings = ImageConditionedContextSettings(tokens=4, reduction=4)
    model = ImageConditionedContext(settings, encoder, TASK, draws(1, "test"))
    with torch.no_grad():
        model.context.mul_(20)
    return model


@pytest.fixture
def images():
    return F.normalize(torch.randn(5, 16, generator=torch.Generator().manual_seed(2)), dim=-1)


def plain_logits(model, parameters, images):
    """Logits written from the formula, image by image and class by class, in float64."""
    network, encoder = double(model.encoder), model.encoder
    context, w1, b1, w2, b2 = parameters
    rows = []
    for z in images.double():
        shifted = context + (torch.relu(z @ w1.T + b1) @ w2.T + b2)
        classes = []
        for name in NAMES:
            words = [plain_features(network, encoder._tokenizer, word, shifted) for word in TASK.synonyms(name)]
            mean = torch.stack(words).mean(dim=0)
            classes.append(z @ mean / mean.norm())
        rows.append(torch.stack(classes))
    return network.logit_scale.exp() * torch.stack(rows)


@pytest.mark.parametrize("shared_prefix", [True, False])
def test_logits_and_gradients_are_those_of_the_formula(model, images, shared_prefix):
    if not shared_prefix:
        model.encoder.capabilities = model.encoder.capabilities - {"shared_prefix"}
    weights = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    trained = list(model.trainables().values())
    logits = model.logits(images, NAMES)
    exact = [tensor.detach().double().requires_grad_() for tensor in trained]
    expected = plain_logits(model, exact, images)
    scale = float(model.encoder.logit_scale.detach())
    torch.testing.assert_close(logits.double() / scale, expected / scale, atol=1e-6, rtol=0)
    gradients = torch.autograd.grad((logits / scale * weights).sum(), trained)
    references = torch.autograd.grad((expected / scale * weights).sum(), exact)
    for gradient, reference in zip(gradients, references, strict=True):
        assert float(reference.abs().max()) > 1e-4
        torch.testing.assert_close(gradient.double(), reference, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_batch_is_a_loop_over_its_images(model, images):
    together = model.logits(images, NAMES)
    alone = torch.cat([model.logits(image[None], NAMES) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.logits(images.flip(0), NAMES), together.flip(0), atol=1e-5, rtol=0)


@torch.no_grad()
def test_few_prompts_at_once_give_the_same(model, images, monkeypatch):
    together, sizes = model.logits(images, NAMES), []
    features_for = model.text_features_for
    monkeypatch.setattr(model, "text_features_for", lambda n, z: sizes.append(len(z)) or features_for(n, z))
    # four words, since "tree" has a synonym
    monkeypatch.setattr(image_conditioned_context, "PROMPTS_AT_ONCE", 9)
    torch.testing.assert_close(model.logits(images, NAMES), together, atol=1e-5, rtol=0)
    assert sizes == [2, 2, 1]


def test_without_an_image_the_context_is_not_shifted(model, images):
    with torch.no_grad():
        features = model.text_features(NAMES)
        for tensor in model.meta_net.parameters():
            tensor.zero_()
        expected = model.text_features_for(NAMES, images)
    torch.testing.assert_close(expected, features.expand(5, 3, 16), atol=1e-6, rtol=0)


def test_training_reads_each_image_once_and_regularizers_see_the_same_features(encoder, train, cache, pixels):
    changes = {"solver.steps": 20, "solver.batch_size": 8, "solver.learning_rate": 0.01}
    rows = []
    tuned = fit(encoder, train, load_recipe("cocoop", changes, "tiny"), cache=cache, progress=False, log=rows.append)
    assert rows[-1]["loss"] < rows[0]["loss"]
    model = tuned.parameterization
    assert model.meta_net[0].weight.shape == (1, 16)
    assert sorted(tuned.tensors()) == ["context", *(f"meta_net.{i}.{t}" for i in (0, 2) for t in ("bias", "weight"))]
    # answers depend on the image they are for, and on no other
    together = tuned.logits(pixels, train.classes)
    torch.testing.assert_close(together[2:3], tuned.logits(pixels[2:3], train.classes), atol=1e-5, rtol=0)
    fixed = tuned.logit_scale * tuned.image_features(pixels) @ tuned.text_features(train.classes).T
    assert not torch.allclose(together, fixed, atol=1e-4)


def test_outputs_give_text_features_for_every_image(model, images):
    from calibrant.tuning.outputs import Outputs
    from calibrant.tuning.parameterizations.zero_shot import ZeroShot
    from calibrant.tuning.settings import Settings
    from calibrant.tuning.tuned_model import Answers

    zero_shot = Answers(ZeroShot(Settings(), model.encoder, TASK, draws(0, "test")))
    outputs = Outputs(model, {"features": images, "labels": torch.tensor([0, 1, 2, 0, 1])}, zero_shot)
    assert outputs.text_features(["a noun"]).shape == (5, 1, 16)
    torch.testing.assert_close(outputs.logits, model.logits(images, TASK.classes))


@pytest.mark.parametrize("method", ["cocoop", "proda", "tcp"])
def test_bf16_trains_tensors_that_stay_float32(method, encoder, train, cache):
    changes = {"solver.steps": 3, "solver.batch_size": 8, "solver.precision": "bf16"}
    rows = []
    tuned = fit(encoder, train, load_recipe(method, changes, "tiny"), cache=cache, progress=False, log=rows.append)
    assert all(tensor.dtype == torch.float32 for tensor in tuned.tensors().values())
    exact = fit(encoder, train, load_recipe(method, {**changes, "solver.precision": "fp32"}, "tiny"), cache=cache,
                progress=False).text_features(train.classes)  # fmt: skip
    torch.testing.assert_close(tuned.text_features(train.classes), exact, atol=0.15, rtol=0)
