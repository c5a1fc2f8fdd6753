"""MaPLe, IVLP and VPT give the numbers of MaPLe's released code on the same inputs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.open_clip_loading import build_network
from calibrant.models.preprocessing import Preprocessing, draws
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.task import Task

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "deep-prompts.json").read_text(encoding="utf-8"))
NAMES = ["cat", "red car", "a tree"]
PHRASE = "a photo of a"
SETTINGS = {
    "coupled_deep_prompts": {"tokens": 2, "phrase": PHRASE, "depth": 3},
    "independent_deep_prompts": {
        "tokens": 4,
        "phrase": PHRASE,
        "text_depth": 2,
        "image_tokens": 3,
        "image_depth": 3,
    },
    "visual_prompts, depth 1": {"tokens": 5, "depth": 1},
    "visual_prompts, depth 4": {"tokens": 5, "depth": 4},
}


def drawn(seed: int, spreads: dict[str, float], tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """N(0, spread) for each tensor, one after the other."""
    rng = np.random.default_rng(seed)
    return {
        name: torch.from_numpy(rng.normal(0, spreads[name], tuple(tensor.shape))).float()
        for name, tensor in tensors.items()
    }


@pytest.fixture(scope="module")
def encoder() -> OpenClipEncoder:
    from open_clip import SimpleTokenizer

    architecture = {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 32, "layers": 4, "width": 128, "head_width": 64, "patch_size": 8},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 3},
    }
    network = build_network(architecture).eval()
    tensors = {name: tensor for name, tensor in sorted(network.state_dict().items()) if name != "logit_scale"}
    spreads = {name: 0.02 if tensor.ndim < 2 else 0.1 for name, tensor in tensors.items()}
    for name, values in drawn(0, spreads, tensors).items():
        is_norm = name.rpartition(".")[0].rpartition(".")[2].startswith("ln_")
        tensors[name].copy_(values + 1 if is_norm and name.endswith("weight") else values)
    tokenizer, about = SimpleTokenizer(context_length=77), {"architecture": architecture}
    return OpenClipEncoder(network, tokenizer, Preprocessing((32, 32)), "small", about).requires_grad_(False)


@pytest.mark.parametrize("name", SETTINGS)
def test_logits_and_gradients_are_those_of_the_released_code(encoder: OpenClipEncoder, name: str) -> None:
    task, part = Task(NAMES, [PHRASE + " {}."]), name.partition(",")[0]
    model = PARAMETERIZATIONS.build(part, SETTINGS[name], encoder, task, draws(1, "not used"))
    trained = model.trainables()
    with torch.no_grad():
        for key, values in drawn(2, dict.fromkeys(trained, 0.2), trained).items():
            trained[key].copy_(values)
    pixels = torch.from_numpy(np.random.default_rng(1).normal(0, 1, (3, 3, 32, 32))).float()
    logits = model.logits(model.image_features(pixels), NAMES)
    torch.testing.assert_close(logits, torch.tensor(GOLDEN[name]["logits"]), atol=2e-5, rtol=0)
    torch.nn.functional.cross_entropy(logits, torch.arange(3)).backward()
    norms = {key: tensor.grad.norm().item() for key, tensor in trained.items()}
    assert norms == pytest.approx(GOLDEN[name]["gradient_norms"], rel=1e-4)
