"""Put the two towers together, settle the logit scale on validation data and write the weights of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch.nn.functional import normalize

from calibrant.calibration import TemperatureScaling
from calibrant.storage import atomic_write

from .alignment import align
from .image_stage import PHASES, pixels, resize_positions
from .model import CONFIG, build
from .pool import Pool
from .scene_batches import as_images, validation_scenes
from .text_features import class_texts, tower
from .text_space import COMMON

# Class prompts of CLIP lie close together, and its logit scale is large. A larger part that all embeddings share brings
# both about, and takes no part in telling classes apart.
SHARED = 0.7


def strengthen_common(state: dict[str, torch.Tensor]) -> None:
    """Raise the share of the common direction, the first coordinate, from COMMON to SHARED in both projections."""
    factor = np.sqrt(SHARED / (1 - SHARED) / (COMMON / (1 - COMMON)))
    for name in ("visual.proj", "text_projection"):
        state[name][:, 0] *= factor


def export(pool: Pool, folder: Path) -> float:
    """Write `tiny.safetensors` in fp16.

    Args:
        pool: the drawings of the pre-training.
        folder: the checkpoints of both stages.

    Returns:
        The logit scale, 1 / temperature of the cosines, at the optimum of the NLL on validation scenes.
    """
    model, side = build().eval(), PHASES[-1].side
    resize_positions(model, side)
    state = {**tower(folder / f"image-{side}.safetensors", "visual"), **tower(folder / "text.safetensors", "text")}
    model.load_state_dict({**state, "logit_scale": model.logit_scale.detach()})
    align(model, pool, class_texts(model, pool.concepts).clone(), side)
    state = {name: value.clone() for name, value in model.state_dict().items() if name in state}
    strengthen_common(state)
    model.load_state_dict({**state, "logit_scale": model.logit_scale.detach()})
    images, labels, classes = validation_scenes(3000)
    with torch.inference_mode():
        parts = np.array_split(images, 20)
        features = normalize(torch.cat([model.visual(pixels(as_images(part), side)) for part in parts]), dim=1)
        cosines = (features @ class_texts(model, classes).T).numpy()
    scale = 1 / TemperatureScaling().fit(cosines, labels).temperature_
    state["logit_scale"] = torch.tensor(np.log(scale))
    with atomic_write(CONFIG.with_suffix(".safetensors")) as temporary:
        save_file({name: value.half().contiguous() for name, value in state.items()}, temporary)
    print(f"validation top-1 {(cosines.argmax(1) == labels).mean():.3f}, logit scale {scale:.1f}")
    return float(scale)
