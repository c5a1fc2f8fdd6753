"""The architecture of `tiny`, with its attention as plain matrix products while it trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

CONFIG = Path(__file__).parents[2] / "src" / "calibrant" / "models" / "weights" / "tiny.json"


class PlainAttention(nn.Module):
    """Self-attention with the parameters of `nn.MultiheadAttention`, fast under bf16 on CPU in both directions."""

    def __init__(self, other: nn.MultiheadAttention) -> None:
        super().__init__()
        self.in_proj_weight, self.in_proj_bias, self.out_proj = (
            other.in_proj_weight,
            other.in_proj_bias,
            other.out_proj,
        )
        self.heads = other.num_heads

    def forward(
        self, x: torch.Tensor, k: Any = None, v: Any = None, need_weights: bool = False, attn_mask: Any = None
    ) -> tuple[torch.Tensor, None]:
        n, length, width = x.shape
        qkv = nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = qkv.view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        scores = (q * (width // self.heads) ** -0.5) @ k.transpose(-2, -1)
        if attn_mask is not None:
            scores = scores + attn_mask
        mixed = scores.softmax(-1).to(v.dtype) @ v
        return self.out_proj(mixed.transpose(1, 2).reshape(n, length, width)), None


def build(**vision: Any) -> nn.Module:
    """Build `tiny` with random weights.

    Args:
        vision: changes to the image tower's configuration, such as ``patch_size=16`` for the early slices.

    Returns:
        An `open_clip.model.CLIP` in train mode.
    """
    from open_clip.model import CLIP

    config = json.loads(CONFIG.read_text())
    config = config.get("model_cfg", config)
    model = CLIP(
        embed_dim=config["embed_dim"],
        vision_cfg=config["vision_cfg"] | vision,
        text_cfg=config["text_cfg"],
        quick_gelu=config.get("quick_gelu", False),
    )
    for tower in (model.visual.transformer, model.transformer):
        for block in tower.resblocks:
            block.attn = PlainAttention(block.attn)
    return model


def encode_text(model: nn.Module, ids: torch.Tensor) -> torch.Tensor:
    """Encode prompts whose padding was cut.

    Args:
        model: what `build` returns.
        ids: token ids, int64 [N, L] with L at most 77.

    Returns:
        Features before normalisation, [N, EMBED_DIM]; the causal tower never reads what was cut.
    """
    length = ids.shape[1]
    x = model.token_embedding(ids) + model.positional_embedding[:length]
    x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
    x = model.ln_final(x[torch.arange(len(ids)), ids.argmax(1)])
    return x @ model.text_projection
