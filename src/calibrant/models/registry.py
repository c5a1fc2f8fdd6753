"""Which models there are, and how a name becomes one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.errors import InputError, require, unknown

if TYPE_CHECKING:
    from calibrant.models.dual_encoder import DualEncoder

_SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")


def load_model(name: str, *, checkpoint: str | Path | None = None, offline: bool = False) -> DualEncoder:
    """Load a model by name.

    Args:
        name: ``"tiny"``; an open_clip architecture and pretrained tag, ``"ViT-B-32/openai"``; a folder with
            open_clip_config.json and weights; a weights file beside such a config; or a bare architecture,
            with `checkpoint`.
        checkpoint: the weights file of a bare architecture.
        offline: never open a socket.

    Returns:
        The model, in eval mode, in float32, on the CPU.

    Raises:
        InputError: if the name is unknown (with the nearest one), the checkpoint is of another architecture,
            or weights have to be fetched and cannot be.
        MissingExtra: if torch or open_clip is not installed.

    Example:
        >>> load_model("tinny")
        Traceback (most recent call last):
        ...
        calibrant.errors.InputError: unknown model 'tinny'; did you mean 'tiny'?
    """
    require("torch", "clip")
    require("open_clip", "clip")
    from calibrant.models import open_clip_loading as loading
    from calibrant.models.tiny import load_tiny

    if checkpoint is not None:
        return loading.load_checkpoint(_architecture(name), Path(checkpoint), offline)
    if name == "tiny":
        return load_tiny()
    if name.startswith(("hf:", "hf-hub:")):
        raise InputError(f"'{name}': Hugging Face checkpoints cannot be read yet; give an open_clip name or folder")
    path = Path(name).expanduser()
    if path.is_dir():
        return loading.load_folder(path, name, offline)
    if path.suffix in _SUFFIXES:
        return loading.load_folder(path.parent, name, offline, weights=path)
    architecture, _, tag = name.partition("/")
    if architecture not in loading.architectures():
        if path.is_absolute() or name.startswith((".", "~")) or name.endswith(os.sep):
            raise InputError(f"there is no model folder {name}")
        raise unknown("model", name, [row["name"] for row in list_models()])
    if not tag:
        raise InputError(_which_weights(architecture))
    return loading.load_pretrained(architecture, tag, offline)


def list_models() -> list[dict[str, Any]]:
    """List the models that `load_model` knows by name.

    Returns:
        For each a dict with name, what, licence, source and limits. Without open_clip installed the list
        names what needs it in one row.

    Example:
        >>> list_models()[0]["name"]
        'tiny'
    """
    from calibrant.models.licences import LIMITS

    tiny = {
        "name": "tiny",
        "what": "a small CLIP that comes with Calibrant, 64 px",
        "licence": "Apache-2.0",
        "source": "packaged; trained by Calibrant on drawn scenes and WordNet nouns",
        "limits": "drawings of things at 64 x 64 pixels; not for photographs",
    }
    own = {
        "name": "path/to/folder",
        "what": "a folder with open_clip_config.json and weights, or a weights file beside one",
        "licence": "its author's",
        "source": "local",
        "limits": "Hugging Face checkpoints (hf:...) cannot be read yet",
    }
    try:
        require("open_clip", "clip")
    except ImportError:
        pretrained = {
            "name": "ARCHITECTURE/TAG",
            "what": "any pretrained model of open_clip: needs calibrant[clip]",
        }
        return [tiny, own, {**pretrained, "licence": "its author's", "source": "open_clip", "limits": LIMITS}]
    from calibrant.models.open_clip_loading import pretrained_rows

    return [tiny, own, *pretrained_rows()]


def _architecture(name: str) -> str:
    from calibrant.models.open_clip_loading import architectures

    if name not in architectures():
        raise unknown("architecture", name, architectures())
    return name


def _which_weights(architecture: str) -> str:
    from open_clip import list_pretrained_tags_by_model

    tags = [f"{architecture}/{tag}" for tag in list_pretrained_tags_by_model(architecture)[:4]]
    choice = f" ({', '.join(tags)}, ...)" if tags else ""
    return f"'{architecture}' is a bare architecture; name a pretrained tag{choice} or give a checkpoint"
