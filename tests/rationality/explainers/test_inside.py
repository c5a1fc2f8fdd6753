"""Explainers that look inside the image tower, against plain float64 computations of the same tower."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.attention import attention_maps
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.tiny import load_tiny
from calibrant.rationality.explainers.attention_gradient import AttentionGradient
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.grad_cam import GradCam
from calibrant.rationality.explainers.grad_eclip import GradEclip
from calibrant.rationality.explainers.inside import blocks_of, class_token_only
from calibrant.rationality.explainers.rollout import Rollout
from calibrant.tuning import load_recipe
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import TunedModel, build

CLASSES = ["cat", "dog", "owl"]
TARGETS = np.array([0, 2, 1])
INSIDE = [AttentionGradient(), GradEclip(), GradCam(), Rollout()]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def encoder() -> OpenClipEncoder:
    return load_tiny(random_initialisation=True)


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.from_numpy(np.random.default_rng(2).normal(size=(3, 3, 64, 64)).astype(np.float32))


def made(encoder: OpenClipEncoder, method: str = "zero-shot") -> TunedModel:
    recipe = load_recipe(method, profile="tiny")
    return build(encoder, Task(CLASSES, ["a {}."], {}), recipe, stage=len(recipe.stages) - 1, seed=0)


class PlainTower:
    """The image tower block by block, in float64, with everything that it computes on the way."""

    def __init__(self, encoder: OpenClipEncoder, pixels: Tensor) -> None:
        tower: Any = encoder.network.visual
        self.attention: list[Tensor] = []
        with torch.no_grad():
            patches = F.conv2d(pixels.double(), tower.conv1.weight.double(), stride=tower.conv1.stride)
            x = patches.flatten(2).transpose(1, 2)
            x = torch.cat([tower.class_embedding.double().expand(len(x), 1, -1), x], dim=1)
            x = norm(tower.ln_pre, x + tower.positional_embedding.double())
        for block in tower.transformer.resblocks:
            x = self.block(block, x)
        self.features = F.normalize(norm(tower.ln_post, x[:, 0]) @ tower.proj.double(), dim=-1)

    def block(self, block: Any, x: Tensor) -> Tensor:
        attn = block.attn
        self.normalised = (
            norm(block.ln_1, x).detach().requires_grad_() if x.requires_grad is False else norm(block.ln_1, x)
        )
        n, length, width = x.shape
        fused = self.normalised @ attn.in_proj_weight.double().T + attn.in_proj_bias.double()
        q, k, v = (part.reshape(n, length, attn.num_heads, -1) for part in fused.split(width, dim=-1))
        weights = (torch.einsum("nqhd,nkhd->nhqk", q, k) / q.shape[-1] ** 0.5).softmax(-1)
        self.attention.append(weights)
        self.q, self.k, self.v = (part.reshape(n, length, width) for part in (q, k, v))
        self.o = torch.einsum("nhqk,nkhd->nqhd", weights, v).reshape(n, length, width)
        x = x + self.o @ attn.out_proj.weight.double().T + attn.out_proj.bias.double()
        inner = norm(block.ln_2, x) @ block.mlp.c_fc.weight.double().T + block.mlp.c_fc.bias.double()
        return x + block.mlp.gelu(inner) @ block.mlp.c_proj.weight.double().T + block.mlp.c_proj.bias.double()

    def cosines(self, text: Tensor) -> Tensor:
        return (self.features * text.double()[TARGETS]).sum()


def norm(layer: Any, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt()
    return centred / spread * layer.weight.double() + layer.bias.double()


def grid(values: Tensor) -> np.ndarray:
    return values.detach()[:, 1:].reshape(len(values), 8, 8).numpy()


def same(found: np.ndarray, expected: np.ndarray) -> None:
    scale = expected.max(axis=(1, 2), keepdims=True)
    assert (scale > 0).all()
    np.testing.assert_allclose(found / scale, expected / scale, atol=2e-5)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("layers", ["last", "all", (2, 5)])
def test_attention_gradient_is_the_formula(encoder: OpenClipEncoder, pixels: Tensor, layers: Any) -> None:
    model = made(encoder)
    plain = PlainTower(encoder, pixels)
    count = len(plain.attention)
    first, end = {"last": (count - 1, count), "all": (0, count)}.get(layers if isinstance(layers, str) else "", layers)
    chosen = plain.attention[first:end]
    slopes = torch.autograd.grad(plain.cosines(model.zero_shot.text_features(CLASSES)), chosen)
    expected = []
    for image in range(len(pixels)):
        relevance = torch.eye(65, dtype=torch.float64)
        for weights, slope in zip(chosen, slopes, strict=True):
            moved = torch.stack([(g * a).clamp(min=0) for g, a in zip(slope[image], weights[image], strict=True)]).mean(
                0
            )
            relevance = relevance + moved @ relevance
        expected.append(relevance[0])
    found = AttentionGradient().explain(model, pixels, TARGETS, classes=CLASSES, layers=layers)
    same(found.maps, grid(torch.stack(expected)))
    assert found.settings["layers"] == layers


def test_rollout_is_the_formula(encoder: OpenClipEncoder, pixels: Tensor) -> None:
    expected = []
    plain = PlainTower(encoder, pixels)
    for image in range(len(pixels)):
        flow = torch.eye(65, dtype=torch.float64)
        for weights in plain.attention:
            step = weights[image].mean(0) + torch.eye(65, dtype=torch.float64)
            flow = (step / step.sum(-1, keepdim=True)) @ flow
        expected.append(flow[0])
    same(Rollout().explain(made(encoder), pixels, TARGETS, classes=CLASSES).maps, grid(torch.stack(expected)))


def test_grad_eclip_is_the_formula(encoder: OpenClipEncoder, pixels: Tensor) -> None:
    model = made(encoder)
    plain = PlainTower(encoder, pixels)
    (slope,) = torch.autograd.grad(plain.cosines(model.zero_shot.text_features(CLASSES)), [plain.o])
    expected = np.zeros((3, 8, 8))
    for image in range(3):
        near = np.array(
            [float(F.cosine_similarity(plain.q[image, 0], plain.k[image, i], dim=0).detach()) for i in range(1, 65)]
        )
        near = (near - near.min()) / (near.max() - near.min())
        taken = np.array([float(slope[image, 0] @ plain.v[image, i].detach()) for i in range(1, 65)])
        expected[image] = np.maximum(near * taken, 0).reshape(8, 8)
    same(GradEclip().explain(model, pixels, TARGETS, classes=CLASSES).maps, expected)


def test_grad_cam_is_the_formula_and_not_zero(encoder: OpenClipEncoder, pixels: Tensor) -> None:
    model = made(encoder)
    plain = PlainTower(encoder, pixels)
    (slope,) = torch.autograd.grad(plain.cosines(model.zero_shot.text_features(CLASSES)), [plain.normalised])
    weights = slope[:, 1:].mean(1)
    expected = torch.einsum("nc,nic->ni", weights, plain.normalised).clamp(min=0)
    same(GradCam().explain(model, pixels, TARGETS, classes=CLASSES).maps, grid(expected))


@pytest.mark.parametrize("explainer", INSIDE, ids=lambda one: one.name)
def test_a_batch_is_the_loop(encoder: OpenClipEncoder, pixels: Tensor, explainer: Explainer) -> None:
    model = made(encoder)
    at_once = explainer.explain(model, pixels, TARGETS, classes=CLASSES).maps
    one_by_one = explainer.explain(model, pixels, TARGETS, classes=CLASSES, batch_size=1).maps
    np.testing.assert_allclose(at_once, one_by_one, atol=1e-6)


@pytest.mark.parametrize("explainer", INSIDE, ids=lambda one: one.name)
def test_the_model_stays_as_it_was(encoder: OpenClipEncoder, pixels: Tensor, explainer: Explainer) -> None:
    model = made(encoder, "coop")
    asked = [tensor.requires_grad for tensor in model.parameterization.parameters()]
    assert any(asked)
    before = model.logits(pixels, CLASSES)
    explainer.explain(model, pixels, TARGETS, classes=CLASSES)
    assert torch.equal(model.logits(pixels, CLASSES), before)
    # pixels that do not fit are found out when everything is in place
    with pytest.raises(RuntimeError):
        explainer.explain(model, pixels[..., :16], TARGETS, classes=CLASSES)
    assert torch.equal(model.logits(pixels, CLASSES), before)
    assert [tensor.requires_grad for tensor in model.parameterization.parameters()] == asked
    last = encoder.network.visual.transformer.resblocks[-1]
    assert "forward" not in vars(last)
    assert last.attn.record is None
    assert not last.ln_1._forward_hooks
    assert not last.attn.out_proj._forward_pre_hooks


def test_the_last_block_for_the_class_token_alone_gives_the_same(encoder: OpenClipEncoder, pixels: Tensor) -> None:
    last = blocks_of(encoder, "test")[-1]
    with torch.inference_mode(), attention_maps(last.attn) as maps:
        whole = encoder.encode_image(pixels)
        with class_token_only(last):
            alone = encoder.encode_image(pixels)
    assert maps[""].shape[-2] == 1
    torch.testing.assert_close(alone, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "method", ["zero-shot", "coop", "cocoop", "maple", "vpt", "clip-adapter", "clip-lora", "taskres", "ft", "flyp"]
)
def test_tuned_models_are_explained_as_they_are(encoder: OpenClipEncoder, pixels: Tensor, method: str) -> None:
    model = made(encoder, method)
    for explainer in (AttentionGradient(), GradEclip(), GradCam()):
        found = explainer.explain(model, pixels[:2], TARGETS[:2], classes=CLASSES, score="margin")
        assert found.maps.shape == (2, 8, 8)
        assert found.evidence.all()


def test_a_resnet_has_no_class_token(pixels: Tensor) -> None:
    import open_clip

    tiny = load_tiny(random_initialisation=True)
    config: dict[str, Any] = {
        "embed_dim": 16,
        "vision_cfg": {"layers": (1, 1, 1, 1), "width": 8, "image_size": 64, "patch_size": None},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    network = open_clip.CLIP(**config).eval()
    encoder = OpenClipEncoder(network, tiny._tokenizer, tiny.preprocessing, "a ResNet", {"architecture": config})
    model = made(encoder)
    found = GradCam().explain(model, pixels, TARGETS, classes=CLASSES)
    assert found.maps.shape == (3, 2, 2)
    assert np.isfinite(found.maps).all()
    for explainer in (AttentionGradient(), GradEclip(), Rollout()):
        with pytest.raises(InputError, match=f"'{explainer.name}' reads the attention.*'a ResNet'.*take grad-cam"):
            explainer.explain(model, pixels, TARGETS, classes=CLASSES)


def test_bad_input_is_one_line(encoder: OpenClipEncoder, pixels: Tensor) -> None:
    model = made(encoder)
    for options, said in (
        ({"score": "cosin"}, "did you mean 'cosine'"),
        ({"layers": (3, 3)}, "layers 3 to 3"),
        ({"layers": "first"}, "layers are 'last'"),
    ):
        with pytest.raises(InputError, match=said):
            AttentionGradient().explain(model, pixels, TARGETS, classes=CLASSES, **options)
    with pytest.raises(InputError, match="target 3 is none of the 3 classes"):
        AttentionGradient().explain(model, pixels, [0, 1, 3], classes=CLASSES)
    with pytest.raises(InputError, match="no image"):
        AttentionGradient().explain(model, [], np.zeros(0, int), classes=CLASSES)
