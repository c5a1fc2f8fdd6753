"""Scenes as tensors: what the teacher and the image tower are shown, made ahead while the last batch is used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors.numpy import load_file

from calibrant.data.emoji.backgrounds import FAMILIES
from calibrant.data.emoji.drawings import TRAINING_STYLES, concepts, embedded, split_of_styles
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.scenes import Look, render

from .text_space import TextSpace, sentence_embeddings

T = TypeVar("T")
BATCH = 128
HARDEST = 0.65


def as_images(scenes: np.ndarray) -> torch.Tensor:
    """Turn scenes, uint8 [N, 64, 64, 3], into float [N, 3, 64, 64] in 0..1."""
    return torch.from_numpy(scenes).permute(0, 3, 1, 2).float() / 255


def validation_scenes(number: int = 1500) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Render scenes of the drawings that are kept for validation: images, labels and the class names."""
    classes = [concept.name for concept in concepts() if concept.role == "class"]
    drawings = embedded()
    kept = np.array(
        [
            drawings.of(split_of_styles(name, drawings.styles_of(name, TRAINING_STYLES))["validation"][0], name)
            for name in classes
        ]
    )
    draws = Draws("pre-training validation", np.arange(number), 0)
    labels, other = draws("label", len(classes)), kept[draws("distractor drawing", len(classes))]
    made = render(drawings.pixels, kept[labels], other, draws("family", len(FAMILIES)), Look(), draws)
    return made.images, labels, classes


def concept_targets(names: list[str], folder: Path) -> torch.Tensor:
    """Place concept names in the space of `tiny` with the sentence encoder, float [C, EMBED_DIM]."""
    stored = load_file(folder / "text-space.safetensors")
    return torch.from_numpy(TextSpace(stored["mean"], stored["basis"])(sentence_embeddings(names)))


def hardness(step: int, total: int) -> float:
    """The first quarter is easy: large drawings in the middle of quiet scenes. The last third is like the benchmark."""
    return HARDEST * min(1.0, max(0.0, (step / total - 1 / 4) / (5 / 12)))


def ahead(make: Callable[[int], T], start: int) -> Iterator[T]:
    """Yield make(start), make(start + 1), ..., each made in a thread while the last one is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, start)
        for step in count(start + 1):
            ready, waiting = waiting.result(), pool.submit(make, step)
            yield ready


def optimizer_step(optimizers: list[torch.optim.Optimizer], loss: torch.Tensor, share: float) -> None:
    """Take one clipped step; each group's rate is `share` of its ``peak``."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    for group in groups:
        group["lr"] = group["peak"] * share
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_([p for group in groups for p in group["params"]], 1.0)
    for optimizer in optimizers:
        optimizer.step()
