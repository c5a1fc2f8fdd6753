"""Turn the last matrix of the image tower towards the text tower: both learned from the teacher, neither exactly."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, normalize

from .image_stage import pixels
from .pool import Pool
from .scene_batches import as_images

SCENES, CHUNK, HARDNESS = 20_480, 128, 0.5
STEPS, BATCH, RATE, DECAY = 600, 1024, 5e-4, 1e-2


@torch.inference_mode()
def pooled_features(visual: nn.Module, pool: Pool, side: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Encode scenes up to the last matrix.

    Args:
        visual: the image tower; left as it was found.
        pool: the drawings of the pre-training.
        side: image side in pixels.
        seed: seed of the scenes.

    Returns:
        Features before the projection, float [SCENES, width], and concept numbers, int64 [SCENES].
    """
    projection, visual.proj = visual.proj, None
    features, concepts = [], []
    try:
        for step in range(SCENES // CHUNK):
            scenes, drawing = pool.scenes(seed, step, CHUNK, HARDNESS)
            with torch.autocast("cpu", torch.bfloat16):
                features.append(visual(pixels(as_images(scenes), side)).float())
            concepts.append(torch.from_numpy(pool.concept[drawing]))
    finally:
        visual.proj = projection
    return torch.cat(features), torch.cat(concepts)


def align(model: nn.Module, pool: Pool, texts: torch.Tensor, side: int, seed: int = 2) -> None:
    """Train the projection of the image tower alone against the text tower's own class prompts.

    Args:
        model: `tiny`; its `visual.proj` changes.
        pool: the drawings of the pre-training.
        texts: class prompts of all concepts through the text tower, unit norm, float [C, EMBED_DIM].
        side: image side in pixels.
        seed: seed of scenes and batches.
    """
    features, concepts = pooled_features(model.visual.eval(), pool, side, seed)
    start = model.visual.proj.detach().clone()
    projection = nn.Parameter(start.clone())
    scale = nn.Parameter(torch.tensor(np.log(25.0), dtype=torch.float32))
    optimizer = torch.optim.Adam([projection, scale], lr=RATE)
    draw = torch.Generator().manual_seed(seed)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        chosen = torch.randint(len(features), (BATCH,), generator=draw)
        logits = scale.exp() * normalize(features[chosen] @ projection, dim=1) @ texts.T
        loss = cross_entropy(logits, concepts[chosen]) + DECAY * (projection - start).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"alignment step {step} of {STEPS}: {loss.item():.3f}", flush=True)
    with torch.no_grad():
        model.visual.proj.copy_(projection)
