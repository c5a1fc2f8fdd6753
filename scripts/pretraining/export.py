"""Put the two towers together, settle the logit scale on validation data and write the weights of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.nn.functional import normalize

from calibrant.calibration import TemperatureScaling
from calibrant.storage import atomic_write

from .image_stage import PHASES, pixels, resize_positions, validation_scenes
from .model import CONFIG, build, encode_text
from .text_stage import Prompts, pad

TEMPLATE = "a photo of a {}."


def tower(file: Path, keep: str) -> dict[str, torch.Tensor]:
    """Read the tensors of one tower from a checkpoint; `keep` is ``"visual"`` or ``"text"``."""
    with safe_open(file, "pt") as opened:
        names = [name.removeprefix("model.") for name in opened.keys() if name.startswith("model.")]  # noqa: SIM118
        chosen = [name for name in names if name.startswith("visual.") == (keep == "visual") and name != "logit_scale"]
        return {name: opened.get_tensor(f"model.{name}") for name in chosen}


@torch.inference_mode()
def class_texts(model: torch.nn.Module, names: list[str]) -> torch.Tensor:
    """Encode class prompts with the text tower, unit norm, float [C, EMBED_DIM]."""
    prompts = Prompts(names, (TEMPLATE,))
    rows = [prompts.row(noun, 0) for noun in range(len(names))]
    return normalize(torch.cat([encode_text(model, pad([row])) for row in rows]), dim=1)


def export(folder: Path) -> float:
    """Write `tiny.safetensors` in fp16.

    Args:
        folder: the checkpoints of both stages.

    Returns:
        The logit scale, 1 / temperature of the cosines, at the optimum of the NLL on validation scenes.
    """
    model = build().eval()
    resize_positions(model, PHASES[-1].side)
    state = {
        **tower(folder / f"image-{PHASES[-1].side}.safetensors", "visual"),
        **tower(folder / "text.safetensors", "text"),
    }
    model.load_state_dict({**state, "logit_scale": model.logit_scale.detach()})
    images, labels, classes = validation_scenes(4000)
    with torch.inference_mode():
        parts = np.array_split(images, 20)
        features = normalize(torch.cat([model.visual(pixels(part, PHASES[-1].side)) for part in parts]), dim=1)
        cosines = (features @ class_texts(model, classes).T).numpy()
    scale = 1 / TemperatureScaling().fit(cosines, labels).temperature_
    state["logit_scale"] = torch.tensor(np.log(scale))
    with atomic_write(CONFIG.with_suffix(".safetensors")) as temporary:
        save_file({name: value.half().contiguous() for name, value in state.items()}, temporary)
    print(f"validation top-1 {(cosines.argmax(1) == labels).mean():.3f}, logit scale {scale:.1f}")
    return float(scale)
