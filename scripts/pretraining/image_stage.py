"""Train the image tower: every scene should land on the text of its concept, among the texts of all concepts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, interpolate, kl_div, log_softmax, normalize

from . import pool as pools
from .checkpoint import load_checkpoint, save_checkpoint
from .model import build
from .scene_batches import BATCH, ahead, as_images, concept_targets, hardness, optimizer_step, validation_scenes
from .teacher_stage import POOLED, Teacher

SIGHT_WEIGHT = 4.0
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])[:, None, None]
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]


@dataclass(frozen=True)
class Phase:
    """Part of the image stage at one resolution.

    Args:
        side: image side in pixels.
        steps: optimizer steps.
        peak: highest learning rate.
    """

    side: int
    steps: int
    peak: float


PHASES = (Phase(32, 4400, 1e-3), Phase(48, 2100, 7e-4), Phase(64, 1800, 7e-4))


def pixels(images: torch.Tensor, side: int) -> torch.Tensor:
    """Turn images, float [N, 3, 64, 64] in 0..1, into normalised input, float [N, 3, side, side]."""
    if side < images.shape[-1]:
        images = interpolate(images, size=(side, side), mode="bilinear", antialias=True)
    return (images - MEAN) / STD


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


def cut_and_paste(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Paste a rectangle of another scene into each scene of the second half of a batch.

    What such a picture shows has no name, but the teacher's answer to it is as good a lesson as any.

    Args:
        images: float [N, 3, H, W].
        generator: the draws of this step.

    Returns:
        float [N, 3, H, W].
    """
    side, out = images.shape[-1], images.clone()
    corners = torch.randint(0, side, (len(images), 4), generator=generator).tolist()
    for i in range(len(images) // 2, len(images)):
        top, bottom, left, right = *sorted(corners[i][:2]), *sorted(corners[i][2:])
        out[i, :, top:bottom, left:right] = images[i - len(images) // 2, :, top:bottom, left:right]
    return out


def make_optimizers(model: nn.Module, peak: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for the rest; vectors do not decay."""
    trained = {n: p for n, p in model.named_parameters() if n.startswith(("visual.", "sight."))}
    blocks = [p for n, p in trained.items() if ".resblocks." in n and p.ndim == 2]
    rest = [p for n, p in trained.items() if ".resblocks." not in n and p.ndim > 1]
    vectors = [*(p for p in trained.values() if p.ndim <= 1), model.logit_scale]
    groups: list[dict[str, Any]] = [
        {"params": rest, "peak": peak, "weight_decay": 0.05},
        {"params": vectors, "peak": peak, "weight_decay": 0.0},
    ]
    muon: dict[str, Any] = {"params": blocks, "peak": peak, "weight_decay": 0.05}
    return [
        # steps as long as AdamW's, so that both take one learning rate
        torch.optim.Muon([muon], lr=0.0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98)),
    ]


@dataclass(frozen=True)
class Lesson:
    """What a batch teaches.

    Args:
        texts: the texts of all concepts in the space of `tiny`, float [C, EMBED_DIM].
        concept: what the first half of the scenes shows, int64 [N / 2].
        chances: the teacher's softmax over the concepts, float [N, C].
        sights: the teacher's standardised features, unit norm, float [N, POOLED].
    """

    texts: torch.Tensor
    concept: torch.Tensor
    chances: torch.Tensor
    sights: torch.Tensor


class Classroom:
    """The teacher with the scale of its features, measured on scenes."""

    def __init__(self, folder: Path, pool: pools.Pool, texts: torch.Tensor, seed: int, scenes: int = 2560) -> None:
        self.teacher, self.texts = Teacher.load(folder), texts
        with torch.inference_mode():
            shown = [pool.scenes(seed + 2, step, BATCH, 0.5)[0] for step in range(scenes // BATCH)]
            seen = torch.cat([self.teacher(as_images(part))[0] for part in shown])
        self.mean, self.spread = seen.mean(0), seen.std(0) + 1e-6

    def lesson(self, images: torch.Tensor, concept: torch.Tensor) -> Lesson:
        """Ask the teacher about images, float [N, 3, 64, 64]; `concept` int64 [N] names what they show."""
        with torch.no_grad():
            pooled, embedding = self.teacher(images)
            chances = self.teacher.logits(embedding, self.texts).softmax(1)
            sights = normalize((pooled - self.mean) / self.spread, dim=1)
        return Lesson(self.texts, concept[: len(concept) // 2], chances, sights)


def loss_terms(model: nn.Module, images: torch.Tensor, lesson: Lesson) -> dict[str, torch.Tensor]:
    """Compare the image tower with the names of the scenes, the teacher's answers and the teacher's features.

    Args:
        model: `tiny` with the head ``sight``.
        images: float [N, 3, side, side]; the first half are whole scenes.
        lesson: the targets.

    Returns:
        The terms ``names``, ``teacher`` and ``sight``.
    """
    visual = model.visual
    with torch.autocast("cpu", torch.bfloat16):
        pooled, _ = visual._pool(visual.transformer(visual._embeds(images)))
        features, sight = pooled @ visual.proj, model.sight(pooled)
    logits = model.logit_scale.exp().clamp(max=100) * normalize(features.float(), dim=1) @ lesson.texts.T
    half = len(lesson.concept)
    return {
        "names": cross_entropy(logits[:half], lesson.concept, label_smoothing=0.02),
        "teacher": kl_div(log_softmax(logits, dim=1), lesson.chances, reduction="batchmean"),
        "sight": SIGHT_WEIGHT * (1 - (normalize(sight.float(), dim=1) * lesson.sights).sum(1).mean()),
    }


def learning_rate(step: int, total: int) -> float:
    """Share of the peak: a short rise at the start of a phase, then a cosine to its end."""
    return float(min(1.0, (step + 1) / 100) * max(0.02, 0.5 + 0.5 * np.cos(np.pi * step / total)))


def train_images(pool_file: Path, folder: Path, *, seed: int, minutes: float) -> bool:
    """Run one slice of the image stage and keep a checkpoint.

    Args:
        pool_file: the drawings.
        folder: holds the text space, the teacher and the checkpoints.
        seed: seed of weights and draws.
        minutes: length of this slice.

    Returns:
        Whether the stage is complete.
    """
    torch.manual_seed(seed)
    torch.set_flush_denormal(True)
    pool, model = pools.Pool(pool_file), build()
    model.sight = nn.Linear(model.visual.proj.shape[0], POOLED)
    with torch.no_grad():
        model.logit_scale.fill_(np.log(25.0))
    images, labels, classes = validation_scenes()
    class_texts = concept_targets(classes, folder)
    classroom = Classroom(folder, pool, concept_targets(pool.concepts, folder), seed)
    concept = torch.from_numpy(pool.concept)
    total, done, began = sum(phase.steps for phase in PHASES), 0, time.monotonic()
    print(f"{len(pool.concept)} drawings of {len(pool.concepts)} concepts", flush=True)
    for phase in PHASES:
        resize_positions(model, phase.side)
        optimizers = make_optimizers(model, phase.peak)
        path = folder / f"image-{phase.side}"
        start = load_checkpoint(path, model, optimizers)
        scenes = ahead(lambda s: pool.scenes(seed, s, BATCH, hardness(s, total)), done + start)
        for step in range(start, phase.steps):
            whole = done + step
            shown, drawing = next(scenes)
            draw = torch.Generator().manual_seed(seed + whole)
            batch = cut_and_paste(pools.vary(as_images(shown), hardness(whole, total), draw), draw)
            terms = loss_terms(model, pixels(batch, phase.side), classroom.lesson(batch, concept[drawing]))
            optimizer_step(optimizers, torch.stack([*terms.values()]).sum(), learning_rate(step, phase.steps))
            spent = (time.monotonic() - began) / 60
            if step % 25 == 0:
                said = ", ".join(f"{name} {term.item():.3f}" for name, term in terms.items())
                print(f"{phase.side} px step {step} of {phase.steps}: {said}, {spent:.1f} min", flush=True)
            last = spent > minutes or step + 1 == phase.steps
            if step % 300 == 299 or last:
                save_checkpoint(path, model, optimizers, step + 1)
                right = accuracy(model, images, labels, class_texts, phase.side)
                print(f"{phase.side} px step {step + 1}: validation top-1 {right:.3f}", flush=True)
            if spent > minutes:
                return whole + 1 == total
        done += phase.steps
    return True


@torch.inference_mode()
def accuracy(model: nn.Module, images: np.ndarray, labels: np.ndarray, texts: torch.Tensor, side: int) -> float:
    """Zero-shot top-1 accuracy of the image tower with given class texts."""
    model.eval()
    with torch.autocast("cpu", torch.bfloat16):
        parts = [pixels(as_images(part), side) for part in np.array_split(images, 6)]
        features = torch.cat([model.visual(part).float() for part in parts])
    model.train()
    return float(((features @ texts.T).argmax(1).numpy() == labels).mean())
