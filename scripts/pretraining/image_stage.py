"""Train the image tower: every scene should land on the text of its concept, among the texts of all concepts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn
from torch.nn.functional import cross_entropy, interpolate, normalize

from calibrant.data.emoji.backgrounds import FAMILIES
from calibrant.data.emoji.drawings import TRAINING_STYLES, concepts, embedded, split_of_styles
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.scenes import Look, render

from . import pool as pools
from .checkpoint import load_checkpoint, save_checkpoint
from .drawing_features import COMPONENTS, drawing_features
from .model import build
from .text_space import EMBED_DIM, TextSpace, sentence_embeddings

T = TypeVar("T")
BATCH = 128
SIGHT_WEIGHT = 4.0
HARDEST = 0.65
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


@dataclass(frozen=True)
class Phase:
    """Part of the image stage at one resolution.

    Args:
        side: image side in pixels.
        steps: optimizer steps.
    """

    side: int
    steps: int


PHASES = (Phase(32, 4400), Phase(48, 900), Phase(64, 300))


@dataclass(frozen=True)
class Targets:
    """What the image tower should say of each drawing.

    Args:
        texts: the concept names in the space of `tiny`, float [C, EMBED_DIM].
        concept: drawing to concept, int64 [K].
        sights: what an ImageNet network sees in each drawing, float [K, COMPONENTS].
    """

    texts: torch.Tensor
    concept: torch.Tensor
    sights: torch.Tensor


def pixels(images: np.ndarray, side: int, vary: Callable[[torch.Tensor], torch.Tensor] | None = None) -> torch.Tensor:
    """Turn scenes, uint8 [N, 64, 64, 3], into normalised input, float [N, 3, side, side], varied on the way."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    if side < x.shape[-1]:
        x = interpolate(x, size=(side, side), mode="bilinear", antialias=True)
    if vary is not None:
        x = vary(x)
    return (x - MEAN) / STD


def resize_positions(model: nn.Module, side: int) -> None:
    """Give the image tower the grid of another image side, its positions interpolated."""
    visual = model.visual
    grid = side // visual.patch_size[0]
    old = visual.positional_embedding
    if len(old) != grid * grid + 1:
        n = int((len(old) - 1) ** 0.5)
        square = old[1:].detach().reshape(1, n, n, -1).permute(0, 3, 1, 2)
        square = interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False)
        new = torch.cat([old[:1].detach(), square.permute(0, 2, 3, 1).reshape(grid * grid, -1)])
        visual.positional_embedding = nn.Parameter(new)
    visual.grid_size, visual.image_size = (grid, grid), (side, side)


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


def decay_groups(model: nn.Module) -> list[dict[str, object]]:
    """Matrices decay, vectors do not."""
    trained = [p for n, p in model.named_parameters() if n.startswith(("visual.", "sight."))]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": 0.05},
        {"params": [*(p for p in trained if p.ndim <= 1), model.logit_scale], "weight_decay": 0.0},
    ]


def loss_terms(model: nn.Module, images: torch.Tensor, drawing: torch.Tensor, to: Targets) -> dict[str, torch.Tensor]:
    """Cross-entropy over all concept texts, and the distance to what the ImageNet network sees.

    Args:
        model: `tiny` with the head ``sight``.
        images: float [N, 3, side, side].
        drawing: what they show, int64 [N].
        to: the targets.

    Returns:
        The terms ``names`` and ``sight``.
    """
    with torch.autocast("cpu", torch.bfloat16):
        features = model.visual(images)
    features = features.float()
    logits = model.logit_scale.exp().clamp(max=100) * normalize(features, dim=1) @ to.texts.T
    sight = normalize(model.sight(features), dim=1)
    return {
        "names": cross_entropy(logits, to.concept[drawing], label_smoothing=0.02),
        "sight": SIGHT_WEIGHT * (1 - (sight * to.sights[drawing]).sum(1).mean()),
    }


def hardness(step: int, total: int) -> float:
    """The first quarter is easy: large drawings in the middle of quiet scenes. The last third is like the benchmark."""
    return HARDEST * min(1.0, max(0.0, (step / total - 1 / 4) / (5 / 12)))


def learning_rate(in_phase: int, step: int, total: int) -> float:
    """Share of the peak: a short rise at the start of each phase, and a cosine over the whole stage."""
    return float(min(1.0, (in_phase + 1) / 100) * max(0.02, 0.5 + 0.5 * np.cos(np.pi * step / total)))


def ahead(make: Callable[[int], T], start: int) -> Iterator[T]:
    """Yield make(start), make(start + 1), ..., each made in a thread while the last one is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(make, start)
        for step in count(start + 1):
            ready, waiting = waiting.result(), pool.submit(make, step)
            yield ready


def train_images(pool_file: Path, folder: Path, *, seed: int, minutes: float, peak: float = 1e-3) -> bool:
    """Run one slice of the image stage and keep a checkpoint.

    Args:
        pool_file: the drawings.
        folder: holds the text space, checkpoints and what is made on the way.
        seed: seed of weights and draws.
        minutes: length of this slice.
        peak: highest learning rate.

    Returns:
        Whether the stage is complete.
    """
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    pool, model = pools.Pool(pool_file), build()
    model.sight = nn.Linear(EMBED_DIM, COMPONENTS)
    with torch.no_grad():
        model.logit_scale.fill_(np.log(25.0))
    images, labels, classes = validation_scenes()
    class_texts = concept_targets(classes, folder)
    sights = drawing_features(pool.pixels, folder / "drawing-features.safetensors")
    to = Targets(concept_targets(pool.concepts, folder), torch.from_numpy(pool.concept), sights)
    total, done, began = sum(phase.steps for phase in PHASES), 0, time.monotonic()
    print(f"{len(pool.concept)} drawings of {len(pool.concepts)} concepts", flush=True)
    for phase in PHASES:
        resize_positions(model, phase.side)
        optimizer = torch.optim.AdamW(decay_groups(model), lr=0.0, betas=(0.9, 0.98))
        path = folder / f"image-{phase.side}"
        start = load_checkpoint(path, model, [optimizer])
        scenes = ahead(lambda s: pool.scenes(seed, s, BATCH, hardness(s, total)), done + start)
        for step in range(start, phase.steps):
            whole = done + step
            rate = peak * learning_rate(step, whole, total)
            shown, drawing = next(scenes)
            draw = torch.Generator().manual_seed(seed + whole)
            batch = pixels(shown, phase.side, partial(pools.vary, hardness=hardness(whole, total), generator=draw))
            terms = loss_terms(model, batch, torch.from_numpy(drawing), to)
            _update(optimizer, terms["names"] + terms["sight"], rate)
            spent = (time.monotonic() - began) / 60
            if step % 25 == 0:
                said = ", ".join(f"{name} {term.item():.3f}" for name, term in terms.items())
                print(f"{phase.side} px step {step} of {phase.steps}: {said}, {spent:.1f} min", flush=True)
            last = spent > minutes or step + 1 == phase.steps
            if step % 300 == 299 or last:
                save_checkpoint(path, model, [optimizer], step + 1)
                right = accuracy(model, images, labels, class_texts, phase.side)
                print(f"{phase.side} px step {step + 1}: validation top-1 {right:.3f}", flush=True)
            if spent > minutes:
                return whole + 1 == total
        done += phase.steps
    return True


def _update(optimizer: torch.optim.Optimizer, loss: torch.Tensor, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()


@torch.inference_mode()
def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray, texts: torch.Tensor, side: int) -> float:
    """Zero-shot top-1 accuracy of the image tower with given class texts."""
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        features = torch.cat([model.visual(pixels(part, side)).float() for part in np.array_split(images, 6)])
    model.train()
    return float(((features @ texts.T).argmax(1).numpy() == labels).mean())
