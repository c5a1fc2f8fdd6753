"""Tensors and what they mean, in one safetensors file without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from calibrant.errors import InputError
from calibrant.storage import atomic_write

# one key only: with several the order in the file, and so its bytes, would differ between processes
_KEY = "calibrant"


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and JSON values into one file, which is whole or absent.

    Args:
        path: the file.
        tensors: by name, on any device.
        about: what JSON can hold.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic_write(path) as temporary:
        try:
            save_file(plain, temporary, {_KEY: json.dumps(about, sort_keys=True, ensure_ascii=False)})
        except SafetensorError as error:
            raise InputError(f"cannot write {path}: {error}") from None


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Args:
        path: the file.

    Returns:
        The tensors by name, and the JSON values.

    Raises:
        InputError: if the file is missing, damaged, or was not written by Calibrant.
    """
    if not Path(path).is_file():
        raise InputError(f"there is no file {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
            about = json.loads((file.metadata() or {})[_KEY])
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is damaged or was not written by Calibrant: {error}") from None
    return tensors, about
