"""What losses read of a batch: the tuned model's answers and, beside them, those of the zero-shot model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tuning_toy import make_encoder, make_train

from calibrant.tuning.objectives import cross_entropy
from calibrant.tuning.objectives.base import Objective
from calibrant.tuning.objectives.cross_entropy import CrossEntropy
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.parameterizations.base import Parameterization, cosine_logits, normalised
from calibrant.tuning.recipe import load_recipe
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import Answers, build


@pytest.fixture
def task():
    train = make_train()
    return Task(train.classes, train.templates, train.words)


def moved(encoder, task, method):
    """A model that is no longer where it started."""
    model = build(encoder, task, load_recipe(method), stage=0, seed=1)
    with torch.no_grad():
        for tensor in model.parameterization.trainables().values():
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(3)))
    return model


def batch_of(encoder, pixels, kind):
    labels = torch.tensor([0, 1, 2, 0])
    return {"labels": labels, kind: pixels if kind == "pixels" else encoder.encode_image(pixels).detach()}


@pytest.mark.parametrize(("method", "kind"), [("coop", "pixels"), ("coop", "features"), ("flyp", "pixels")])
def test_zero_shot_answers_are_those_of_the_model_before_tuning(method, kind, encoder, task, pixels):
    model = moved(encoder, task, method)
    outputs = Outputs(model.parameterization, batch_of(encoder, pixels, kind), model.zero_shot)
    untouched = make_encoder()
    with torch.no_grad():
        image = untouched.encode_image(pixels)
        words = [[f"a photo of a {word}." for word in task.synonyms(name)] for name in task.classes]
        text = torch.stack([normalised(untouched.encode_text(untouched.tokenize(one)).mean(0)) for one in words])
    torch.testing.assert_close(outputs.zero_shot_image_features, image, atol=1e-6, rtol=0)
    torch.testing.assert_close(outputs.zero_shot_text_features(task.classes), text, atol=1e-6, rtol=0)
    expected = float(untouched.logit_scale.detach()) * image.double() @ text.double().T
    torch.testing.assert_close(outputs.zero_shot_logits.double(), expected, atol=1e-4, rtol=0)
    assert not outputs.zero_shot_logits.requires_grad
    assert not torch.allclose(outputs.logits, outputs.zero_shot_logits, atol=1e-3)
    assert outputs.logits.requires_grad


def test_an_untouched_image_tower_runs_once(encoder, task, pixels, monkeypatch):
    model, calls = moved(encoder, task, "coop"), []
    encode = type(encoder).encode_image
    monkeypatch.setattr(type(encoder), "encode_image", lambda *a, **k: calls.append(1) or encode(*a, **k))
    outputs = Outputs(model.parameterization, batch_of(encoder, pixels, "pixels"), model.zero_shot)
    assert outputs.logits.shape == outputs.zero_shot_logits.shape
    assert len(calls) == 1


def test_zero_shot_text_is_encoded_once_and_in_full_precision(encoder, task, pixels, monkeypatch):
    model, calls = moved(encoder, task, "coop"), []
    encode = type(encoder).encode_text
    monkeypatch.setattr(type(encoder), "encode_text", lambda *a, **k: calls.append(1) or encode(*a, **k))
    templates = ["a drawing of a {}."]
    for number in range(6):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = Outputs(model.parameterization, batch_of(encoder, pixels, "pixels"), model.zero_shot)
            found = outputs.zero_shot_text_features(task.classes)
            other = outputs.zero_shot_text_features(task.classes, templates)
        model.zero_shot.text_features([f"class {number}"])  # lists that come once do not push out those that recur
        if number == 0:
            first = len(calls)
    assert len(calls) == first + 5
    exact = build(make_encoder(), task, load_recipe("coop"), 0, 1).zero_shot
    assert torch.equal(found, exact.text_features(task.classes))
    assert torch.equal(other, exact.text_features(task.classes, templates))


def test_pair_logits(encoder, task, pixels):
    model = moved(encoder, task, "flyp")
    batch = batch_of(encoder, pixels, "pixels") | {"captions": encoder.tokenize(["a cat", "a car", "a tree", "cats"])}
    outputs = Outputs(model.parameterization, batch, model.zero_shot)
    image, text = outputs.image_features.detach().double(), outputs.caption_features.detach().double()
    expected = float(outputs.logit_scale.detach()) * np.array([[float(i @ t) for t in text] for i in image])
    np.testing.assert_allclose(outputs.pair_logits.detach().numpy(), expected, atol=1e-4)


def test_targets_stand_in_for_labels(encoder, task, pixels):
    model = moved(encoder, task, "coop")
    batch = batch_of(encoder, pixels, "features")
    plain = Outputs(model.parameterization, batch, model.zero_shot)
    assert plain.targets.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    objective: Objective = CrossEntropy(Settings())
    assert float(objective.loss(plain).detach()) == pytest.approx(
        float(cross_entropy(plain.logits, plain.targets).detach()), abs=1e-6
    )
    soft = torch.tensor([[0.2, 0.3, 0.5]]).repeat(4, 1)
    mixed = Outputs(model.parameterization, batch | {"targets": soft}, model.zero_shot)
    logits = mixed.logits.detach().double()
    expected = -(soft.double() * logits.log_softmax(dim=1)).sum() / 4
    assert float(objective.loss(mixed).detach()) == pytest.approx(float(expected), abs=1e-5)


class Conditioned(Parameterization):
    """Text features that lean towards the image they are compared with."""

    image_conditioned = True

    def text_features_for(self, names, image_features):
        return normalised(self.text_features(names) + 0.5 * image_features[:, None])


def test_text_features_may_differ_from_image_to_image(encoder, task, pixels):
    model = Conditioned(Settings(), encoder, task, np.random.default_rng(0))
    answers = Answers(model)
    outputs = Outputs(
        model, batch_of(encoder, pixels, "pixels"), Answers(Parameterization(Settings(), encoder, task, None))
    )
    assert outputs.text_features(task.classes).shape == (4, 3, encoder.embed_dim)
    image, text = encoder.encode_image(pixels).detach().double(), answers.text_features(task.classes).double()
    for row in range(4):
        leaning = torch.nn.functional.normalize(text + 0.5 * image[row], dim=-1)
        expected = encoder.logit_scale.double() * leaning @ image[row]
        torch.testing.assert_close(outputs.logits[row].double(), expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(answers.logits(pixels, task.classes), outputs.logits)


def test_cosine_logits_of_one_text_for_all_are_those_of_the_same_text_for_each(encoder):
    rng = np.random.default_rng(0)
    image, text = (normalised(torch.from_numpy(rng.normal(size=(n, 16)))) for n in (5, 3))
    torch.testing.assert_close(
        cosine_logits(image, text, encoder), cosine_logits(image, text.expand(5, 3, 16), encoder)
    )
