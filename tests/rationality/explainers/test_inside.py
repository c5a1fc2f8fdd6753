"""Explainers that look inside the image tower, against float64 computations written from their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plain_tower import PlainTower, assert_same_maps, grid, linear
from small_towers import CLASSES, TARGETS, encoder_of, pixels_for, tuned
from torch.nn import functional as F

from calibrant.rationality.explainers.attention_gradient import AttentionGradient
from calibrant.rationality.explainers.clip_surgery import ClipSurgery
from calibrant.rationality.explainers.grad_cam import GradCam
from calibrant.rationality.explainers.grad_eclip import GradEclip
from calibrant.rationality.explainers.legrad import LeGrad
from calibrant.rationality.explainers.mask_clip import MaskClip
from calibrant.rationality.explainers.rollout import Rollout

PIXELS = pixels_for("class-token")
EYE = torch.eye(17, dtype=torch.float64)


def explained(explainer: Any, **options: Any) -> np.ndarray:
    return explainer.explain(tuned(), PIXELS, TARGETS, classes=CLASSES, **options).maps


def text() -> torch.Tensor:
    return tuned().text_features(CLASSES)


@pytest.fixture
def plain() -> PlainTower:
    return PlainTower(encoder_of("class-token").network.visual)


@pytest.mark.parametrize(("layers", "numbers"), [("last", [2]), ("all", [0, 1, 2]), ((0, 2), [0, 1])])
def test_attention_gradient_is_the_formula(plain: PlainTower, layers: Any, numbers: list[int]) -> None:
    steps = plain.steps(PIXELS)
    chosen = [steps[number].attention for number in numbers]
    slopes = torch.autograd.grad(plain.cosines(steps[-1].output[:, 0], text()), chosen)
    expected = []
    for image in range(3):
        relevance = EYE
        for weights, slope in zip(chosen, slopes, strict=True):
            heads = [(g * a).clamp(min=0) for g, a in zip(slope[image], weights[image], strict=True)]
            relevance = relevance + torch.stack(heads).mean(0) @ relevance
        expected.append(relevance[0])
    assert_same_maps(explained(AttentionGradient(), layers=layers), grid(torch.stack(expected)))


def test_rollout_is_the_formula(plain: PlainTower) -> None:
    expected = []
    steps = plain.steps(PIXELS)
    for image in range(3):
        flow = EYE
        for step in steps:
            mixed = step.attention[image].mean(0) + EYE
            flow = (mixed / mixed.sum(-1, keepdim=True)) @ flow
        expected.append(flow[0])
    assert_same_maps(explained(Rollout()), grid(torch.stack(expected)))


def test_grad_eclip_is_the_formula_with_all_heads(plain: PlainTower) -> None:
    last = plain.steps(PIXELS)[-1]
    (slope,) = torch.autograd.grad(plain.cosines(last.output[:, 0], text()), [last.taken])
    expected = np.zeros((3, 16))
    for image in range(3):
        q, k, v = (part[image].detach() for part in (last.q, last.k, last.v))
        near = np.array([float(F.cosine_similarity(q[0], k[i], dim=0)) for i in range(1, 17)])
        near = (near - near.min()) / (near.max() - near.min())
        taken = np.array([float(slope[image, 0] @ v[i]) for i in range(1, 17)])
        expected[image] = np.maximum(near * taken, 0)
    assert_same_maps(explained(GradEclip()), grid(expected))


def test_grad_cam_is_the_formula_and_not_zero(plain: PlainTower) -> None:
    last = plain.steps(PIXELS)[-1]
    (slope,) = torch.autograd.grad(plain.cosines(last.output[:, 0], text()), [last.normalised])
    expected = torch.einsum("nc,nic->ni", slope[:, 1:].mean(1), last.normalised).clamp(min=0)
    assert (grid(expected).max(axis=(1, 2)) > 0).all()
    assert_same_maps(explained(GradCam()), grid(expected))


@pytest.mark.parametrize(("layers", "numbers"), [("last", [2]), ((1, 3), [1, 2]), ((0, 2), [0, 1])])
def test_legrad_is_the_formula(plain: PlainTower, layers: Any, numbers: list[int]) -> None:
    expected = torch.zeros(3, 17, dtype=torch.float64)
    inputs = [plain.tokens(PIXELS), *(step.output for step in plain.steps(PIXELS))]
    for number in numbers:
        # a block answers for its own attention only
        step = plain.block(number, inputs[number].detach())
        (slope,) = torch.autograd.grad(plain.cosines(step.output.mean(1), text()), [step.attention])
        for image in range(3):
            for head in range(2):
                for query in range(17):
                    expected[image] += slope[image, head, query].clamp(min=0) / (2 * 17)
    assert_same_maps(explained(LeGrad(), layers=layers), grid(expected))


def test_mask_clip_is_the_cosine_of_projected_values(plain: PlainTower) -> None:
    last = plain.steps(PIXELS)[-1]
    features = plain.features(linear(plain.blocks[-1].attn.out_proj, last.v)).detach()
    expected = torch.stack([f @ text().double()[target] for f, target in zip(features, TARGETS, strict=True)])
    assert_same_maps(explained(MaskClip()), grid(expected))


@pytest.mark.parametrize("blocks", [2, 6])
def test_clip_surgery_is_the_formula(plain: PlainTower, blocks: int) -> None:
    steps = plain.steps(PIXELS)
    first = max(0, 3 - blocks)
    path = plain.tokens(PIXELS) if first == 0 else steps[first - 1].output.detach()
    for step, block in zip(steps[first:], plain.blocks[first:], strict=True):
        path = path + linear(block.attn.out_proj, plain.take(plain.attention(step.v, step.v, 2), step.v)).detach()
    f, own, t = plain.features(path).detach(), plain.features(steps[-1].output[:, 0]).detach(), text().double()
    expected = np.zeros((3, 17))
    for image, target in enumerate(TARGETS):
        p = (2 * t @ own[image]).softmax(0)
        w = p / p.mean()
        for i in range(17):
            parts = [f[image, i] * t[n] * w[n] for n in range(3)]
            expected[image, i] = (parts[target] - sum(parts) / 3).sum()
    assert_same_maps(explained(ClipSurgery(blocks)), grid(expected))


def test_settings_say_what_was_read() -> None:
    def layers_of(explainer: Any, layers: Any) -> Any:
        return explainer.explain(tuned(), PIXELS[:1], [0], classes=CLASSES, layers=layers).settings["layers"]

    assert layers_of(AttentionGradient(), (1, 3)) == (1, 3)
    assert layers_of(LeGrad(), "last") == "last"
    assert layers_of(Rollout(), "last") == "all"
    assert layers_of(GradCam(), "all") == layers_of(GradEclip(), "all") == "last"
    made = ClipSurgery(2).explain(tuned(), PIXELS[:1], [0], classes=CLASSES)
    assert made.settings == {
        "explainer": "clip-surgery",
        "blocks": 2,
        "score": "cosine",
        "layers": None,
        "model": "a class-token model",
        "precision": "float32",
    }
