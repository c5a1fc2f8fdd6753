"""From what a user names to models and data sets, remembered so that a run can open them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError

if TYPE_CHECKING:
    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.data.registry import Data
    from calibrant.models.dual_encoder import DualEncoder

IMAGE_OPTIONS = ("window", "background", "pixel_limit")
_NOT_RECORDED = ("progress",)


@dataclass(frozen=True)
class Opened:
    """A data set and the options it was opened with; None if they are not known."""

    data: Data
    options: dict[str, Any] | None


def open_model(model: str | DualEncoder, *, checkpoint: str | Path | None = None, offline: bool = False) -> DualEncoder:
    """Load a model, unless it is one.

    Args:
        model: a name or a model.
        checkpoint: weights of a bare architecture.
        offline: never open a socket.

    Returns:
        The model.
    """
    if not isinstance(model, str):
        return model
    from calibrant.models.registry import load_model

    return load_model(model, checkpoint=checkpoint, offline=offline)


def find_data(data: str | Data, options: Mapping[str, Any] | None, seed: int) -> Callable[[], Opened]:
    """Find a data set, unless it is one, and check what can be checked before an image is read.

    Args:
        data: a name or a data set.
        options: for `load_data`; None values are left out.
        seed: of the split of folders and manifests, unless the options have one.

    Returns:
        What loads the data set and gives it with its options.

    Raises:
        InputError: if the data set or an option is unknown, a file or a class cannot be used, or options come with a
            loaded data set.
    """
    given = {key: value for key, value in (options or {}).items() if value is not None}
    if not isinstance(data, str):
        if given:
            raise InputError(f"{data.name} is loaded already; give {', '.join(given)} to load_data")
        opened = Opened(data, data.about.get("options"))
        return lambda: opened
    from calibrant.data import registry

    if data.startswith(("folder:", "csv:")):
        given.setdefault("seed", seed)
    recorded = {key: _plain(value) for key, value in given.items() if key not in _NOT_RECORDED}
    load = registry.find_data(data, **given)
    return lambda: Opened(load(), recorded)


def shots_of(data: Data, shots: int | None, seed: int) -> EvaluationSet:
    """Choose the training images.

    Args:
        data: the data set.
        shots: images per class, or None for all.
        seed: decides which.

    Returns:
        The training images.

    Raises:
        InputError: if there are no training images, or fewer of a class than `shots`.
    """
    from calibrant.data.splits import few_shot

    if "train" not in data.splits:
        raise InputError(f"{data.name} has no training images, only {', '.join(data.splits)}; it cannot be tuned on")
    train = data.split("train")
    return train if shots is None else train.subset(few_shot(train.labels, shots, seed, train.classes))


def new_half(name: str) -> str | None:
    """Name the data set of the new classes that belongs to one of base classes.

    Args:
        name: a data set.

    Returns:
        Its other half, or None if it is no half.

    Example:
        >>> new_half("emoji/base"), new_half("folder:pets#base"), new_half("emoji")
        ('emoji/new', 'folder:pets#new', None)
    """
    for mark in ("/", "#"):
        if name.endswith(f"{mark}base") and (mark == "#" or name.startswith("emoji")):
            return name.removesuffix("base") + "new"
    return None


def base_half(name: str) -> str | None:
    """Name the data set of the base classes that belongs to one of new classes.

    Example:
        >>> base_half("emoji/new"), base_half("emoji/base")
        ('emoji/base', None)
    """
    base = name.removesuffix("new") + "base"
    return base if name.endswith("new") and new_half(base) == name else None


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
