"""Class prompts through the text tower as it stands in a checkpoint."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from torch.nn.functional import normalize

from .model import build, encode_text
from .text_stage import Prompts, pad

TEMPLATE = "a photo of a {}."


def tower(file: Path, keep: str) -> dict[str, torch.Tensor]:
    """Read the tensors of one tower from a checkpoint; `keep` is ``"visual"`` or ``"text"``."""
    with safe_open(file, "pt") as opened:
        names = [name.removeprefix("model.") for name in opened.keys() if name.startswith("model.")]  # noqa: SIM118
        apart = ("logit_scale", "sight.weight", "sight.bias")
        chosen = [name for name in names if name.startswith("visual.") == (keep == "visual") and name not in apart]
        return {name: opened.get_tensor(f"model.{name}") for name in chosen}


@torch.inference_mode()
def class_texts(model: torch.nn.Module, names: list[str]) -> torch.Tensor:
    """Encode class prompts with the text tower, unit norm, float [C, EMBED_DIM]."""
    prompts = Prompts(names, (TEMPLATE,))
    rows = [prompts.row(noun, 0) for noun in range(len(names))]
    return normalize(torch.cat([encode_text(model, pad([row])) for row in rows]), dim=1)


def text_features(checkpoint: Path, names: list[str]) -> torch.Tensor:
    """Encode class prompts with the text tower of a checkpoint, unit norm, float [C, EMBED_DIM]."""
    model = build().eval()
    model.load_state_dict(tower(checkpoint, "text"), strict=False)
    return class_texts(model, names).clone()
