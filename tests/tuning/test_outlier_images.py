"""DOR's variant for methods that tune the image side."""

from __future__ import annotations

import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from PIL import Image
from tuning_toy import QUICK, make_encoder, make_train

from calibrant.errors import InputError
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.regularizers.outlier_images import FEATURES, PIXELS, DORVisual, DORVisualSettings, outlier_images
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

COUNT = 7


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CALIBRANT_CACHE", str(tmp_path / "user-cache"))


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(5)
    (tmp_path / "elsewhere" / "deeper").mkdir(parents=True)
    for i in range(COUNT):
        where = tmp_path / "elsewhere" / ("deeper" if i % 2 else "")
        Image.fromarray(rng.integers(0, 256, (18, 20, 3), np.uint8)).save(where / f"{i}.png")
    return str(tmp_path / "elsewhere")


def model_of(method):
    train = make_train()
    task = Task(train.classes, train.templates, train.words)
    return build(make_encoder(), task, load_recipe(method, {}, "tiny"), stage=0, seed=1)


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def batch_of(regularizer, size=5, seed=0):
    return regularizer.on_batch({"labels": torch.zeros(size, dtype=torch.int64)}, np.random.default_rng(seed))


def test_it_is_the_formula_where_the_tower_is_tuned(folder):
    model = model_of("ft")
    regularizer = DORVisual(DORVisualSettings(images=folder), model)
    batch = batch_of(regularizer)
    value = regularizer.loss(Outputs(model.parameterization, batch, model.zero_shot))
    assert value.item() == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        for tensor in model.parameterization.trainables().values():
            tensor.add_(0.05 * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)))
    value = regularizer.loss(Outputs(model.parameterization, batch, model.zero_shot))
    before = model.zero_shot.encoder.encode_image(batch[PIXELS]).detach().double().numpy()
    after = model.image_features(batch[PIXELS]).double().numpy()
    expected = 1 - sum(cosine(x, y) for x, y in zip(after, before, strict=True)) / 5
    assert value.item() == pytest.approx(expected, abs=1e-6)
    assert expected > 1e-3
    np.testing.assert_allclose(batch[FEATURES].numpy(), before, atol=1e-6)
    value.backward()
    assert float(model.parameterization.encoder.image_projection.grad.abs().sum()) > 0


def test_every_step_draws_anew_as_many_as_there_are_images_in_the_batch(folder):
    regularizer = DORVisual(DORVisualSettings(images=folder), model_of("ft"))
    steps = [batch_of(regularizer, size=3, seed=step)[FEATURES] for step in range(6)]
    assert all(len(step) == len(step.unique(dim=0)) == 3 for step in steps)
    assert any(not torch.equal(steps[0], step) for step in steps[1:])
    assert torch.equal(batch_of(regularizer, size=3, seed=4)[FEATURES], steps[4])
    assert len(batch_of(regularizer, size=20)[FEATURES]) == COUNT
    chosen = DORVisual(DORVisualSettings(images=folder, count=2), model_of("ft"))
    assert len(batch_of(chosen, size=5)[FEATURES]) == 2


def test_trained_and_repeated_to_the_bit(folder, encoder, train, cache):
    changes = {**QUICK, "solver.precision": "fp32", "regularizers.dor_visual.images": folder}
    recipe = load_recipe("ft+dor_visual", changes, "tiny")
    rows = []
    first, second = (fit(encoder, train, recipe, cache=cache, progress=False, log=rows.append) for _ in range(2))
    assert rows[0]["terms"]["dor_visual"] == pytest.approx(0, abs=1e-5)
    assert rows[5]["terms"]["dor_visual"] > 0
    assert all(torch.equal(tensor, second.tensors()[name]) for name, tensor in first.tensors().items())


def test_the_images_of_a_data_set_are_those_of_no_class(monkeypatch):
    from calibrant.data import registry

    class Data:
        splits = ("test",)

        def split(self, which):
            train = make_train()
            labels = np.where(np.arange(20) % 5 == 0, -1, train.labels)
            return type(train)(**{**vars(train), "labels": labels, "split": which})

    monkeypatch.setattr(registry, "load_data", lambda name: Data())
    assert outlier_images("some").ids == [f"image {i}" for i in (0, 5, 10, 15)]


def test_the_images_of_another_data_set_are_all_outliers(monkeypatch):
    from calibrant.data import registry

    class Data:
        splits = ("train", "test")

        def split(self, which):
            assert which == "train"
            return make_train()

    monkeypatch.setattr(registry, "load_data", lambda name: Data())
    assert len(outlier_images("some")) == 20


def test_an_untuned_image_side_is_refused(folder):
    with pytest.raises(InputError, match="'text_context' does not tune them"):
        DORVisual(DORVisualSettings(images=folder), model_of("coop"))


def test_images_that_are_not_there_are_named(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no images that could be outliers"):
        outlier_images(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="unknown data 'emoji/unknwn'; did you mean 'emoji/unknown'"):
        outlier_images("emoji/unknwn")
    with pytest.raises(InputError, match=r"dor_visual\.images is missing"):
        load_recipe("ft+dor_visual")


@pytest.mark.parametrize("wanted", [True, False])
def test_the_bars_of_outliers_are_shown_where_bars_are_wanted(wanted, folder, encoder, train, monkeypatch, tmp_path):
    """A terminal is made believe, and a bar that remembers what it was for takes the place of rich's."""
    seen = []

    class Bar(nullcontext):
        def __init__(self, *columns, **options):
            super().__init__(self)

        def add_task(self, what, **options):
            seen.append(what)

        def update(self, task, **options):
            pass

    monkeypatch.setattr("rich.progress.Progress", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    (tmp_path / "words.txt").write_text("lamp\nriver", encoding="utf-8")
    words = str(tmp_path / "words.txt")
    changes = {"regularizers.dor_visual.images": folder, "regularizers.dor.vocabulary": words}
    recipe = load_recipe("flyp+dor+dor_visual", {**QUICK, "solver.steps": 1, **changes}, "tiny")
    fit(encoder, train, recipe, progress=wanted)
    assert seen == (["encoding words", "encoding outlier images", "tuning"] if wanted else [])
