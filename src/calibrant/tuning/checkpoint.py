"""Where training can go on from: tensors and scalars in one file, without pickle."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from calibrant.errors import CalibrantWarning, InputError
from calibrant.tuning.tensors import read_tensors, write_tensors

_FILE = "checkpoint.safetensors"
_WHAT = {
    "method": "another method or other settings",
    "data": "other training data",
    "validation": "other validation data",
    "model": "another model",
    "seed": "another seed",
}


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run after a step.

    Args:
        stage: number of the stage, from 0.
        step: steps that are done in this stage.
        tensors: ``"<group>:<name>"`` to tensor, with the groups ``carried`` (from the stage before),
            ``trained``, ``optimizer``, ``regularizer`` and ``averaging``.
        scalars: JSON values, such as the loss scale of fp16.
        identity: what the run is of: method, data, model, seed, and the content of files that settings name.
        surroundings: versions, device and threads, on which the last bits depend.
    """

    stage: int
    step: int
    tensors: Mapping[str, Tensor]
    scalars: Mapping[str, Any]
    identity: Mapping[str, Any]
    surroundings: Mapping[str, Any]

    def group(self, name: str) -> dict[str, Tensor]:
        """Give the tensors of a group by their names in it."""
        return {key[len(name) + 1 :]: value for key, value in self.tensors.items() if key.startswith(f"{name}:")}

    def write(self, folder: str | Path) -> None:
        """Replace the checkpoint in a folder; a kill at any moment leaves the old one or the new one.

        Args:
            folder: is created.

        Raises:
            InputError: if it cannot be written.
        """
        about = {name: getattr(self, name) for name in ("stage", "step", "scalars", "identity", "surroundings")}
        write_tensors(Path(folder) / _FILE, self.tensors, about)

    @classmethod
    def read(cls, folder: str | Path) -> Checkpoint | None:
        """Read the checkpoint in a folder.

        Args:
            folder: what `write` was given.

        Returns:
            The checkpoint, or None if the run was stopped before its first one.

        Raises:
            InputError: if the file is damaged.
        """
        path = Path(folder) / _FILE
        if not path.exists():
            return None
        tensors, about = read_tensors(path)
        try:
            return cls(tensors=tensors, **about)
        except TypeError:
            raise InputError(f"{path} is not a checkpoint") from None

    def check(self, identity: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        """Check that a run can go on from here.

        Args:
            identity: of the run that wants to.
            now: its surroundings; where they differ a warning says that the last bits will differ too.

        Raises:
            InputError: if it is a checkpoint of another run.
        """
        for key, value in identity.items():
            if self.identity.get(key) != value:
                what = _WHAT.get(key, f"another {key}")
                raise InputError(f"cannot resume: the checkpoint is of {what}; start anew with --overwrite")
        changed = [f"{key} {self.surroundings.get(key)} -> {value}" for key, value in now.items()
                   if self.surroundings.get(key) != value]  # fmt: skip
        if changed:
            warnings.warn(
                f"resuming, but not bit for bit as without the interruption: {', '.join(changed)}",
                CalibrantWarning,
                stacklevel=2,
            )


def surroundings(device: torch.device) -> dict[str, Any]:
    """Name what the last bits of a result depend on besides recipe, data, model and seed.

    Args:
        device: where training runs.

    Returns:
        JSON values: versions, machine type, device type, threads.
    """
    packages = {name: version(name) for name in ("torch", "numpy", "accelerate", "open_clip_torch", "pillow")}
    return {
        "python": platform.python_version(),
        **packages,
        "machine": platform.machine(),
        "device": device.type,
        "threads": torch.get_num_threads(),
    }
