"""Low-rank updates as files that the package ``peft`` reads; ``peft`` itself is not needed here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import save_file
from torch import Tensor

from calibrant.errors import InputError
from calibrant.storage import atomic_write, write_json
from calibrant.tuning.parameterizations.low_rank import LowRank

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_TOWERS = {"image": "vision_model", "text": "text_model"}
_BLOCK = re.compile(r"^network\.(visual\.|text\.)?transformer\.resblocks\.(\d+)\.attn$")


def save_adapter(model: TunedModel, folder: str | Path, base_model: str | None = None) -> None:
    """Write the updates of a model that was tuned with ``low_rank`` as a LoRA adapter for ``peft``.

    The adapter is one of transformers' ``CLIPModel``, whose blocks hold query, key, value and output apart. Block i of
    open_clip's image tower is ``vision_model.encoder.layers.i.self_attn`` there, of its text tower
    ``text_model.encoder.layers.i.self_attn``; `down` becomes ``lora_A`` and `up` ``lora_B``. It fits a checkpoint with
    the same weights as the one that was tuned, such as ``openai/clip-vit-base-patch32`` for ``ViT-B-32/openai``::

        peft.PeftModel.from_pretrained(CLIPModel.from_pretrained(base_model), folder)

    Args:
        model: the tuned model.
        folder: gets ``adapter_model.safetensors`` and ``adapter_config.json``; is created.
        base_model: the name of the transformers checkpoint, which ``peft`` shows and does not check.

    Raises:
        InputError: if the model has no low-rank updates, its blocks are not those of open_clip, or a file cannot be
            written.

    Source: Hu et al. (2022). LoRA: low-rank adaptation of large language models. ICLR.
    """
    parameterization = model.parameterization
    if not isinstance(parameterization, LowRank):
        raise InputError(f"an adapter holds low-rank updates, but '{model.recipe.name}' trains something else")
    tensors: dict[str, Tensor] = {}
    for layer, updates in parameterization.updates.items():
        for projection, update in updates.items():
            name = f"base_model.model.{transformers_name(layer)}.{projection}_proj"
            tensors[f"{name}.lora_A.weight"] = update.down.detach().cpu().contiguous()
            tensors[f"{name}.lora_B.weight"] = update.up.detach().cpu().contiguous()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, {"format": "pt"})
    write_json(folder / CONFIG, adapter_config(parameterization, base_model))


def transformers_name(layer: str) -> str:
    """Translate the name of an attention layer from open_clip to transformers' ``CLIPModel``.

    Args:
        layer: as `DualEncoder.attention_layers` names it.

    Returns:
        The name.

    Raises:
        InputError: if it is no block of open_clip's own towers.

    Example:
        >>> transformers_name("network.visual.transformer.resblocks.3.attn")
        'vision_model.encoder.layers.3.self_attn'
    """
    found = _BLOCK.match(layer)
    if found is None:
        raise InputError(f"'{layer}' has no counterpart in the CLIP of transformers, so no adapter can be written")
    tower = "image" if found[1] == "visual." else "text"
    return f"{_TOWERS[tower]}.encoder.layers.{found[2]}.self_attn"


def adapter_config(parameterization: LowRank, base_model: str | None = None) -> dict[str, object]:
    """Describe the updates in the words of ``peft``.

    Args:
        parameterization: the updates.
        base_model: the name of the transformers checkpoint.

    Returns:
        The values of ``adapter_config.json``.
    """
    settings = parameterization.settings
    towers = "|".join(_TOWERS[tower] for tower in settings.towers)
    projections = "|".join(f"{projection}_proj" for projection in settings.projections)
    return {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "use_rslora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "target_modules": rf".*({towers}).*\.self_attn\.({projections})",
        "modules_to_save": None,
    }
