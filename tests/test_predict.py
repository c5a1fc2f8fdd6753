"""Predictions of a model that is small enough to be made in a test."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from calibrant.data.evaluation_set import EvaluationSet
from calibrant.data.registry import load_data
from calibrant.models.text import text_classifier
from calibrant.predict import CONTENT, in_words_of, predict
from calibrant.tuning.recipe import load_recipe
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import TunedModel, build

sys.path.insert(0, str(Path(__file__).parent / "tuning"))
from tuning_toy import make_encoder, make_train


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pictures() -> EvaluationSet:
    return make_train()


@pytest.fixture
def tuned(pictures: EvaluationSet) -> TunedModel:
    task = Task(pictures.classes, pictures.templates, pictures.words)
    return build(make_encoder(), task, load_recipe("flyp", {}, "published"), stage=0, seed=0)


def test_every_image_is_named_by_its_content(tuned: TunedModel, pictures: EvaluationSet) -> None:
    found = predict(tuned, pictures)
    content = found.columns[CONTENT]
    assert len(set(content)) == 20
    turned = predict(tuned, replace(pictures, ids=[f"other {i}" for i in range(20)]).subset(range(19, -1, -1)))
    assert turned.columns[CONTENT].tolist() == content[::-1].tolist()


def test_a_set_that_names_its_images_itself_is_believed(tuned: TunedModel) -> None:
    scenes = load_data("emoji/animals", scenes=6).split("validation")
    found = predict(tuned, scenes)
    assert found.columns[CONTENT].tolist() == scenes.columns["content"].tolist()
    assert len(set(found.columns[CONTENT])) == 6


def test_other_words_and_templates_change_what_is_asked(tuned: TunedModel, pictures: EvaluationSet) -> None:
    words, templates = {"cat": ("cat", "kitten")}, ["an icon of a {}.", "a {}"]
    asking = in_words_of(tuned, words, templates)
    both = {"tree": ("tree", "oak"), **words}
    expected = text_classifier(tuned.zero_shot.encoder, pictures.classes, templates, both)
    assert torch.allclose(asking.zero_shot.text_features(pictures.classes), expected, atol=1e-6)
    assert torch.allclose(asking.text_features(pictures.classes), expected, atol=1e-5)
    assert asking.parameterization.trainables().keys() == tuned.parameterization.trainables().keys()
    as_tuned = text_classifier(tuned.zero_shot.encoder, pictures.classes, pictures.templates, pictures.words)
    assert torch.allclose(tuned.text_features(pictures.classes), as_tuned, atol=1e-5)
    assert in_words_of(tuned, {}) is tuned


def test_predictions_use_the_words_of_the_set_and_the_given_templates(
    tuned: TunedModel, pictures: EvaluationSet
) -> None:
    plain = predict(tuned, pictures)
    found = predict(tuned, replace(pictures, words={"cat": ("cat", "kitten")}), templates=["an icon of a {}."])
    assert found.about["templates"] == ["an icon of a {}."]
    assert found.about["words"] == {"tree": ["tree", "oak"], "cat": ["cat", "kitten"]}
    assert plain.about["templates"] == pictures.templates
    assert not np.allclose(found.zero_shot_logits, plain.zero_shot_logits)
    asking = in_words_of(tuned, {"cat": ("cat", "kitten")}, ["an icon of a {}."])
    text = asking.zero_shot.text_features(pictures.classes).numpy()
    np.testing.assert_allclose(found.zero_shot_text_features, text, atol=1e-6)


@pytest.mark.parametrize("method", ["flyp", "coop", "clip-adapter"])
def test_tuned_image_features_are_kept(pictures: EvaluationSet, method: str) -> None:
    task = Task(pictures.classes, pictures.templates, pictures.words)
    model = build(make_encoder(), task, load_recipe(method, {}, "published"), stage=0, seed=0)
    with torch.no_grad():
        for tensor in model.parameterization.trainables().values():
            tensor += 0.1 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0))
    found = predict(model, pictures, batch_size=8)
    pixels = torch.stack([model.encoder.test_transform(image) for image in pictures.images])
    assert found.image_features.dtype == np.float32
    np.testing.assert_allclose(found.image_features, model.image_features(pixels).numpy(), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found.image_features, axis=1), 1, atol=1e-5)
    if model.about["image_tower"] == "tuned":
        assert not np.allclose(found.image_features, model.zero_shot.image_features(pixels).numpy(), atol=1e-3)
