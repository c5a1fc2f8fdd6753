"""Weights on disk: reading them safely, fitting them into a network, writing them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.storage import atomic_write, write_json

CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"
SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint; code in it is never run.

    Args:
        path: a safetensors file, or a PyTorch file of tensors, perhaps under ``"state_dict"``.

    Returns:
        Name to tensor.

    Raises:
        InputError: if the file is missing, damaged, or holds more than tensors and plain values.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"there is no checkpoint {path}")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except SafetensorError as error:
        raise InputError(f"{path} is not a whole safetensors file: {_first_line(error)}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        raise InputError(
            f"{path} holds more than tensors, or is damaged, and is not opened for safety; "
            "save its state dict as safetensors"
        ) from error
    tensors = content.get("state_dict", content) if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise InputError(f"{path} holds no state dict")
    if all(name.startswith("module.") for name in tensors):  # saved from a distributed wrapper
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return dict(tensors)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill an open_clip network with the weights of a checkpoint.

    Args:
        network: the network; its parameters keep their dtype.
        path: see `read_tensors`.

    Raises:
        InputError: if the checkpoint is of another architecture, naming the first tensor that does not fit,
            or holds NaN or infinite values.
    """
    tensors = _in_open_clip_names(network, read_tensors(path))
    wanted = network.state_dict()
    for name, tensor in wanted.items():
        if name in tensors and tensors[name].shape != tensor.shape:
            theirs, ours = list(tensors[name].shape), list(tensor.shape)
            raise InputError(f"{path} is of another architecture: {name} is {theirs}, the model's is {ours}")
    for name in [*wanted, *tensors]:
        if name not in tensors:
            shape = list(wanted[name].shape)
            raise InputError(f"{path} is of another architecture: {name} {shape} of the model is missing")
        if name not in wanted:
            shape = list(tensors[name].shape)
            raise InputError(f"{path} is of another architecture: {name} {shape} is not in the model")
        if not tensors[name].isfinite().all():
            raise InputError(f"{path} holds NaN or infinite values in {name}")
    network.load_state_dict(tensors)


def save_model(folder: Path, network: nn.Module, preprocessing: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write a folder that `load_model` and open_clip's ``local-dir:`` both read.

    Args:
        folder: to write into; it is created.
        network: the open_clip network.
        preprocessing: its images', as `Preprocessing.to_config` gives it.
        about: source, licence and limits, and under ``"architecture"`` open_clip's model config.

    Raises:
        InputError: if the folder cannot be written.
    """
    from safetensors.torch import save_file

    rest = {key: value for key, value in about.items() if key != "architecture"}
    with atomic_write(folder / WEIGHTS_NAME) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, temporary)
    config = {"model_cfg": about["architecture"], "preprocess_cfg": dict(preprocessing), "about": rest}
    write_json(folder / CONFIG_NAME, config)


def _in_open_clip_names(network: nn.Module, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring checkpoints of older and of other makes to the names and ranks of today's open_clip."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    tensors = convert_state_dict(network, tensors)
    if "positional_embedding" in tensors and not hasattr(network, "positional_embedding"):
        tensors = convert_to_custom_text_state_dict(tensors)
    if "text.positional_embedding" in tensors and hasattr(network, "positional_embedding"):
        tensors = {name.removeprefix("text."): tensor for name, tensor in tensors.items()}
    tensors.pop("text.transformer.embeddings.position_ids", None)  # written by old versions of transformers
    for name in ("logit_scale", "logit_bias"):  # a scalar in some files, one element in others
        own = getattr(network, name, None)
        if name in tensors and isinstance(own, Tensor) and tensors[name].numel() == own.numel():
            tensors[name] = tensors[name].reshape(own.shape)
    return tensors


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
