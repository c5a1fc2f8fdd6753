"""Occlusion, RISE and integrated gradients against plain float64 loops, and against captum called directly."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from corner_model import COLOURS, CORNER, SIZE, cosine, make_model, make_pixels
from torch.nn import functional as F

from calibrant.errors import InputError, MissingExtra
from calibrant.models.preprocessing import draws
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.fillings import filled
from calibrant.rationality.explainers.integrated_gradients import IntegratedGradients
from calibrant.rationality.explainers.occlusion import Occlusion
from calibrant.rationality.explainers.rise import Rise

TARGETS = np.array([2, 0, 1])
QUICK = [Occlusion(window=3, stride=2), IntegratedGradients(steps=4), Rise(masks=20, cells=3)]


def explain(explainer, model=None, pixels=None, targets=TARGETS, **options):
    model, pixels = model or make_model(), make_pixels() if pixels is None else pixels
    return explainer.explain(model, pixels, targets, classes=COLOURS, **options).maps


def at_once(explainer, images: int):
    explainer.at_once = images
    return explainer


@pytest.mark.parametrize(("window", "stride"), [(2, 2), (3, 2), (4, 1)])
def test_occlusion_is_the_mean_fall_over_the_windows_that_hold_a_pixel(window: int, stride: int) -> None:
    pixels = make_pixels().numpy().astype(np.float64)
    expected = np.zeros((3, SIZE, SIZE))
    starts = [start * stride for start in range(math.ceil((SIZE - window) / stride) + 1)]
    for image, relevance, target in zip(pixels, expected, TARGETS, strict=True):
        times = np.zeros((SIZE, SIZE))
        for top in starts:
            for left in starts:
                place = np.s_[top : top + window, left : left + window]
                covered = image.copy()
                covered[:, place[0], place[1]] = 0
                relevance[place] += cosine(image, target) - cosine(covered, target)
                times[place] += 1
        relevance /= times
    explainer = at_once(Occlusion(window, stride, signed=True), 7)
    np.testing.assert_allclose(explain(explainer), expected, atol=1e-6)
    np.testing.assert_allclose(explain(Occlusion(window, stride)), np.maximum(expected, 0), atol=1e-6)
    assert np.abs(expected[:, CORNER + window - 1 :]).max() == 0


def test_rise_credits_the_masks_with_what_the_scores_exceed_their_mean_by() -> None:
    count, cells, visible, seed = 40, 3, 0.4, 5
    # the masks by the words of the paper: a grid of cells, enlarged by one cell, cut out at a random place
    draw = draws(seed, "masks of RISE")
    grids, side = draw.random((count, 1, cells, cells)) < visible, math.ceil(SIZE / cells)
    starts = draw.integers(0, side, (count, 2))
    masks = []
    for grid, (top, left) in zip(grids, starts, strict=True):
        large = F.interpolate(torch.from_numpy(grid[None]).double(), size=[(cells + 1) * side] * 2, mode="bilinear")
        masks.append(large[0, 0, top : top + SIZE, left : left + SIZE].numpy())
    for image, target, found in zip(
        make_pixels().numpy().astype(np.float64),
        TARGETS,
        explain(at_once(Rise(count, cells, visible, signed=True, seed=seed), 9)),
        strict=True,
    ):
        scores = [cosine(image * mask, target) for mask in masks]
        expected = sum((s - np.mean(scores)) * mask for s, mask in zip(scores, masks, strict=True)) / (count * visible)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_masks_depend_on_the_seed_and_on_nothing_else() -> None:
    whole = explain(at_once(Rise(masks=30, seed=1), 100))
    np.testing.assert_allclose(explain(at_once(Rise(masks=30, seed=1), 4), batch_size=2), whole, atol=1e-6)
    assert not np.allclose(explain(Rise(masks=30, seed=2)), whole)


def test_integrated_gradients_add_up_to_the_difference_of_the_scores() -> None:
    pixels = make_pixels()
    found = explain(at_once(IntegratedGradients(steps=50, signed=True), 16)).sum(axis=(1, 2))
    for image, target, total in zip(pixels.numpy(), TARGETS, found, strict=True):
        assert total == pytest.approx(cosine(image, target) - cosine(np.zeros_like(image), target), abs=1e-5)


def test_integrated_gradients_are_those_of_captum() -> None:
    from captum.attr import IntegratedGradients as Theirs

    model, pixels = make_model(), make_pixels()

    def score(x):
        features = model.parameterization.image_features(x)
        return (features @ model.parameterization.text_features(COLOURS).T).gather(1, targets)[:, 0]

    for at, target in enumerate(TARGETS):
        targets = torch.full((20, 1), int(target))
        theirs = Theirs(score).attribute(pixels[at : at + 1], n_steps=20).sum(dim=1)
        ours = explain(IntegratedGradients(steps=20, signed=True), model, pixels[at : at + 1], TARGETS[at : at + 1])
        np.testing.assert_allclose(ours, theirs.detach(), atol=1e-6)


@pytest.mark.parametrize("explainer", QUICK, ids=lambda one: one.name)
@pytest.mark.parametrize("score", ["margin", "head"])
def test_maps_of_a_batch_are_those_of_single_images_under_every_score(explainer, score: str) -> None:
    pixels = make_pixels()
    single = [explain(explainer, None, pixels[at : at + 1], TARGETS[at : at + 1], score=score)[0] for at in range(3)]
    np.testing.assert_allclose(explain(explainer, score=score), single, atol=2e-5)


@pytest.mark.parametrize("explainer", QUICK, ids=lambda one: one.name)
def test_relevance_lies_where_the_model_looks(explainer) -> None:
    maps = explain(explainer)
    assert np.isfinite(maps).all()
    assert (maps >= 0).all()
    if explainer.name != "rise":  # whose masks are larger than the corner
        assert maps[:, CORNER + 2 :, CORNER + 2 :].max() == 0


@pytest.mark.parametrize("explainer", QUICK, ids=lambda one: one.name)
def test_a_model_is_left_as_it_was(explainer) -> None:
    model, pixels = make_model(), make_pixels()
    model.parameterization.encoder.network.proj.requires_grad_(True)
    before = {name: tensor.clone() for name, tensor in model.parameterization.state_dict().items()}
    wanted, kept = model.logits(pixels, COLOURS), pixels.clone()
    explain(explainer, model, pixels)
    assert torch.equal(model.logits(pixels, COLOURS), wanted)
    assert torch.equal(pixels, kept)
    assert not pixels.requires_grad
    for name, parameter in model.parameterization.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None
        assert parameter.requires_grad == name.endswith("proj")


def test_fillings() -> None:
    pixels = make_pixels()
    assert filled(pixels, "mean").abs().max() == 0
    np.testing.assert_allclose(filled(pixels, "own-mean")[1, 2, 5, 3], pixels[1, 2].mean(), atol=1e-6)
    # the 4 x 4 patches of an image of 8 x 8 pixels are means of 2 x 2, and corners are not mixed with others
    np.testing.assert_allclose(filled(pixels, "blur")[0, 0, 0, 0], pixels[0, 0, :2, :2].mean(), atol=1e-6)
    with pytest.raises(InputError, match="unknown filling 'grey'"):
        filled(pixels, "grey")


def test_captum_is_asked_for_where_it_is_missing(monkeypatch) -> None:
    def import_module(name: str):
        raise ModuleNotFoundError(f"No module named '{name}'", name=name.partition(".")[0])

    monkeypatch.setattr("calibrant.errors.importlib", SimpleNamespace(import_module=import_module))
    for explainer in QUICK[:2]:
        with pytest.raises(MissingExtra, match=r"calibrant\[explain\]"):
            explain(explainer)


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda: Occlusion(window=0), "at least 1 pixel"),
        (lambda: Occlusion(window=2, stride=3), "leave pixels uncovered"),
        (lambda: explain(Occlusion(window=9)), "does not suit images of 8 pixels"),
        (lambda: Rise(masks=0), "at least one mask"),
        (lambda: Rise(visible=1), "between 0 and 1"),
        (lambda: IntegratedGradients(steps=0), "at least one step"),
        (lambda: scorer(make_model(), ["red"], "margin"), "at least two classes"),
    ],
)
def test_settings_that_make_no_sense_are_named(make, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        make()
