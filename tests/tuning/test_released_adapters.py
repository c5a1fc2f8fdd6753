"""Adapters, memory, dual head and low-rank updates give the numbers of their authors' code on the same inputs."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from calibrant.models.attention import Attention
from calibrant.tuning.objectives import cross_entropy, dual_head
from calibrant.tuning.parameterizations.cached_features import cache_keys, cache_logits, search_strengths
from calibrant.tuning.parameterizations.dual_head import Channels, DualHead
from calibrant.tuning.parameterizations.feature_adapter import adapted
from calibrant.tuning.parameterizations.low_rank_attention import LowRankAttention, LowRankUpdate, StepDropout
from calibrant.tuning.parameterizations.task_residual import with_residual
from calibrant.tuning.solvers.search import search_grid

GOLDEN = Path(__file__).parents[1] / "golden" / "adapters.json"
WIDTH, CLASSES, IMAGES, SCALE = 16, 3, 6, 100.0
SHAPES = {
    "image": (IMAGES, WIDTH),
    "text": (CLASSES, WIDTH),
    "down": (WIDTH // 4, WIDTH),
    "up": (WIDTH, WIDTH // 4),
    "residual": (CLASSES, WIDTH),
    "views": (4, 9, WIDTH),
    "head.weight": (CLASSES, WIDTH),
    "head.bias": (CLASSES,),
    "image_channels": (2, WIDTH),
    "text_channels": (2, WIDTH),
    "tokens": (2, 5, WIDTH),
    "in_proj_weight": (3 * WIDTH, WIDTH),
    "in_proj_bias": (3 * WIDTH,),
    "out_proj.weight": (WIDTH, WIDTH),
    "out_proj.bias": (WIDTH,),
    "low_rank_down": (3, 2, WIDTH),
    "low_rank_up": (3, WIDTH, 2),
}
LABELS = torch.arange(IMAGES) % CLASSES


def inputs() -> dict[str, Tensor]:
    """Everything that both sides read, drawn one after the other, in float64."""
    rng = np.random.default_rng(7)
    drawn = {name: torch.from_numpy(rng.normal(0, 0.5, shape)) for name, shape in SHAPES.items()}
    # features of one norm, as the constant that stands for it here supposes
    return drawn | {name: 10 * normalize(drawn[name], dim=-1) for name in ("image", "text", "views")}


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    values: dict[str, Any] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return values


def agrees(got: Tensor, expected: Any) -> None:
    torch.testing.assert_close(got, torch.tensor(expected, dtype=got.dtype), atol=1e-5, rtol=1e-5)


def test_clip_adapter(golden):
    given = inputs()
    image, text = normalize(given["image"], dim=-1), normalize(given["text"], dim=-1)
    agrees(SCALE * adapted(image, given["down"], given["up"], 0.2) @ text.T, golden["clip-adapter"])


def test_taskres(golden):
    given = inputs()
    image, text = normalize(given["image"], dim=-1), normalize(given["text"], dim=-1)
    agrees(SCALE * image @ with_residual(text, given["residual"], 0.5, 10.0).T, golden["taskres"])


def test_tip_adapter(golden):
    given = inputs()
    image, text = normalize(given["image"], dim=-1), normalize(given["text"], dim=-1)
    keys = cache_keys(normalize(given["views"], dim=-1), torch.arange(9) % CLASSES, CLASSES).double()
    zero_shot, alphas, betas = SCALE * image @ text.T, search_grid(3, 2), search_grid(7, 2)
    got = [zero_shot + alpha * cache_logits(image, keys, beta) for beta in betas for alpha in alphas]
    agrees(torch.stack(got), golden["tip-adapter"]["logits"])
    alpha, beta = search_strengths(zero_shot, image, LABELS, keys, alphas, betas)
    right = [int((logits.argmax(dim=-1) == LABELS).sum()) for logits in got]
    chosen = got[betas.index(beta) * len(alphas) + alphas.index(alpha)]
    assert int((chosen.argmax(dim=-1) == LABELS).sum()) == max(right)


def dual(given: dict[str, Tensor]) -> Any:
    """What `DualHead.linear_logits` reads."""
    model = SimpleNamespace(feature_norm=10.0, head=torch.nn.Linear(WIDTH, CLASSES))
    for side in ("image_channels", "text_channels"):
        channels = Channels(WIDTH, torch.device("cpu"))
        channels.scale.data, channels.bias.data = given[side].float()
        setattr(model, side, channels)
    model.head.weight.data, model.head.bias.data = given["head.weight"].float(), given["head.bias"].float()
    return model


def test_dept(golden):
    given = inputs()
    image, text = normalize(given["image"], dim=-1).float(), normalize(given["text"], dim=-1).float()
    model, similarity = dual(given), SCALE * image @ text.T
    linear = DualHead.linear_logits(model, image, model.image_channels)
    agrees((0.3 * similarity + 0.7 * linear).detach(), golden["dept"]["logits"])
    of_text = DualHead.linear_logits(model, text[LABELS], model.text_channels)
    loss = dual_head(similarity, of_text, linear, LABELS, LABELS, 0.7)
    agrees(loss.detach(), golden["dept"]["loss"])
    loss.backward()
    norms = {
        "head.weight": model.head.weight,
        "image_channels.scale": model.image_channels.scale,
        "text_channels.bias": model.text_channels.bias,
    }
    got = {name: tensor.grad.norm().item() for name, tensor in norms.items()}
    assert got == pytest.approx(golden["dept"]["gradient_norms"], rel=1e-4)


def plain_attention(given: dict[str, Tensor]) -> torch.nn.MultiheadAttention:
    """PyTorch's module with drawn weights."""
    module = torch.nn.MultiheadAttention(WIDTH, 2, batch_first=True)
    module.load_state_dict({name: given[name].float() for name in module.state_dict()})
    return module


def test_clip_lora(golden):
    given = inputs()
    halves = zip("qkv", given["low_rank_down"].float(), given["low_rank_up"].float(), strict=True)
    updates = {name: LowRankUpdate(down, up, 2**0.5 / 2, StepDropout(0.0)) for name, down, up in halves}
    got, _ = LowRankAttention(Attention(plain_attention(given)), updates)(given["tokens"].float())
    agrees(got.detach(), golden["clip-lora"]["output"])
    cross_entropy(got.flatten(0, 1), torch.arange(10)).backward()
    norms = {name: [update.down.grad.norm().item(), update.up.grad.norm().item()] for name, update in updates.items()}
    for name, expected in golden["clip-lora"]["gradient_norms"].items():
        assert norms[name] == pytest.approx(expected, rel=1e-4)
