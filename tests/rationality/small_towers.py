"""Small random models with image towers of every kind that explainers look into."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import open_clip
import torch
from torch import Tensor

from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.open_clip_loading import build_network
from calibrant.models.preprocessing import Preprocessing
from calibrant.tuning.recipe import load_recipe
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import TunedModel, build

CLASSES = ["cat", "dog", "owl"]
TARGETS = np.array([0, 2, 1])
TOKENIZER = open_clip.SimpleTokenizer(context_length=20)
VIT = {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8}
TOWERS: dict[str, dict[str, Any]] = {
    "class-token": VIT,
    "coca": {**VIT, "attentional_pool": True, "attn_pooler_heads": 2, "attn_pooler_queries": 3, "output_tokens": True},
    "average": {**VIT, "pool_type": "avg"},
    "custom": {**VIT, "qk_norm": True},
    "resnet": {"layers": [1, 1, 1, 1], "width": 8, "image_size": 64},
    "siglip": {"timm_model_name": "test_vit3", "timm_pool": "map", "timm_proj": "linear", "image_size": 160},
    "convnext": {"timm_model_name": "test_convnext", "timm_pool": "avg", "timm_proj": "linear", "image_size": 64},
}


@functools.cache
def encoder_of(kind: str) -> OpenClipEncoder:
    text: dict[str, Any] = {"context_length": 20, "width": 32, "heads": 2, "layers": 3}
    architecture: dict[str, Any] = {"embed_dim": 16, "vision_cfg": TOWERS[kind], "text_cfg": text}
    if kind == "coca":
        text |= {"embed_cls": True, "output_tokens": True}
        architecture |= {
            "custom_text": True,
            "multimodal_cfg": {"context_length": 20, "width": 32, "heads": 2, "layers": 1},
        }
    network = build_network(architecture).eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        # as they are built, tokens differ so little that attention is the same for all, and norms undo nothing
        for name, tensor in network.visual.named_parameters():
            if tensor.ndim == 1 and "norm" not in name and "bn" not in name:
                tensor.add_(0.3 * torch.randn_like(tensor))
            elif "attn" in name:
                tensor.mul_(3)
            elif name.endswith("bn3.weight"):
                tensor.fill_(0.5)
    size = TOWERS[kind]["image_size"]
    about = {"architecture": architecture}
    return OpenClipEncoder(network, TOKENIZER, Preprocessing((size, size)), f"a {kind} model", about)


def pixels_for(kind: str, count: int = 3) -> Tensor:
    size = TOWERS[kind]["image_size"]
    return torch.from_numpy(np.random.default_rng(2).normal(size=(count, 3, size, size)).astype(np.float32))


@functools.cache
def tuned(kind: str = "class-token", method: str = "zero-shot") -> TunedModel:
    recipe = load_recipe(method, profile="tiny")
    task = Task(CLASSES, ["a {}."], {})
    return build(encoder_of(kind), task, recipe, stage=len(recipe.stages) - 1, seed=0)
