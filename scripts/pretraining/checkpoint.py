"""Checkpoints of the pre-training: tensors in one safetensors file, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from calibrant.storage import atomic_write


def save_checkpoint(path: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer], step: int) -> None:
    """Write model, optimizer states and step to `path` with the suffix .safetensors."""
    tensors: dict[str, torch.Tensor] = {f"model.{k}": v.contiguous().clone() for k, v in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{number}.{index}.{key}"] = torch.as_tensor(value).contiguous().clone()
    with atomic_write(path.with_suffix(".safetensors")) as temporary:
        save_file(tensors, temporary, metadata={"step": str(step)})


def load_checkpoint(path: Path, model: torch.nn.Module, optimizers: list[torch.optim.Optimizer]) -> int:
    """Restore what `save_checkpoint` wrote, if it is there; return the step to go on with."""
    from safetensors import safe_open

    file = path.with_suffix(".safetensors")
    if not file.exists():
        return 0
    with safe_open(file, "pt") as opened:
        step = int(opened.metadata()["step"])
    tensors = load_file(file)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Any]] = {}
        for key, value in tensors.items():
            if key.startswith(f"optimizer.{number}."):
                _, _, index, name = key.split(".", 3)
                # SparseAdam counts its steps in a Python integer
                plain = name == "step" and isinstance(optimizer, torch.optim.SparseAdam)
                state.setdefault(int(index), {})[name] = int(value) if plain else value
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return step
