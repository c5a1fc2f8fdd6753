"""An image tower with a class token, block by block in float64, from the definition of each of its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from small_towers import TARGETS
from torch import Tensor
from torch.nn import functional as F


def norm(layer: Any, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt()
    return centred / spread * layer.weight.double() + layer.bias.double()


def linear(layer: Any, x: Tensor) -> Tensor:
    return x @ layer.weight.double().T + layer.bias.double()


@dataclass
class Step:
    """What one block computes: its normalised input, queries, keys, values, attention, what heads took, its output."""

    normalised: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    attention: Tensor
    taken: Tensor
    output: Tensor


class PlainTower:
    def __init__(self, tower: Any) -> None:
        self.tower = tower
        self.blocks = list(tower.transformer.resblocks)

    def tokens(self, pixels: Tensor) -> Tensor:
        tower = self.tower
        with torch.no_grad():
            patches = F.conv2d(pixels.double(), tower.conv1.weight.double(), stride=tower.conv1.stride)
            x = patches.flatten(2).transpose(1, 2)
            x = torch.cat([tower.class_embedding.double().expand(len(x), 1, -1), x], dim=1)
            return norm(tower.ln_pre, x + tower.positional_embedding.double())

    def block(self, number: int, x: Tensor) -> Step:
        block, attn = self.blocks[number], self.blocks[number].attn
        x = x.detach().requires_grad_() if not x.requires_grad else x
        normalised = norm(block.ln_1, x)
        fused = normalised @ attn.in_proj_weight.double().T + attn.in_proj_bias.double()
        q, k, v = fused.chunk(3, dim=-1)
        weights = self.attention(q, k, attn.num_heads)
        taken = self.take(weights, v)
        x = x + linear(attn.out_proj, taken)
        inner = block.mlp.gelu(linear(block.mlp.c_fc, norm(block.ln_2, x)))
        return Step(normalised, q, k, v, weights, taken, x + linear(block.mlp.c_proj, inner))

    @staticmethod
    def attention(q: Tensor, k: Tensor, heads: int) -> Tensor:
        q, k = (part.unflatten(-1, (heads, -1)) for part in (q, k))
        return (torch.einsum("nqhd,nkhd->nhqk", q, k) / q.shape[-1] ** 0.5).softmax(-1)

    @staticmethod
    def take(weights: Tensor, v: Tensor) -> Tensor:
        return torch.einsum("nhqk,nkhd->nqhd", weights, v.unflatten(-1, (weights.shape[1], -1))).flatten(2)

    def steps(self, pixels: Tensor) -> list[Step]:
        x, made = self.tokens(pixels), []
        for number in range(len(self.blocks)):
            made.append(self.block(number, x))
            x = made[-1].output
        return made

    def features(self, tokens: Tensor) -> Tensor:
        """Norm, projection and unit norm, for every token by itself."""
        return F.normalize(norm(self.tower.ln_post, tokens) @ self.tower.proj.double(), dim=-1)

    def cosines(self, token: Tensor, text: Tensor) -> Tensor:
        """The sum over images of the cosine of one token [N, W] each to the text of its class."""
        return (self.features(token) * text.double()[TARGETS]).sum()


def grid(values: Tensor | np.ndarray) -> np.ndarray:
    """Lay [N, 1 + P] or [N, P] out on the patches."""
    rows = np.asarray(values.detach() if isinstance(values, Tensor) else values)
    side = int(rows.shape[1] ** 0.5)
    return rows[:, -side * side :].reshape(len(rows), side, side)


def assert_same_maps(found: np.ndarray, expected: np.ndarray) -> None:
    scale = np.abs(expected).max(axis=(1, 2), keepdims=True)
    assert (scale > 0).all()
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # also where the values are small
    np.testing.assert_allclose(found / scale, expected / scale, atol=5e-5)
