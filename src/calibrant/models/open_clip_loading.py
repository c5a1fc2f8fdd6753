"""Building open_clip's networks and filling them with weights from a tag, a folder or a file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from calibrant.errors import CalibrantWarning, InputError, require, unknown
from calibrant.models.checkpoints import CONFIG_NAME, SUFFIXES, WEIGHTS_NAME, load_weights
from calibrant.models.downloads import hub_offline, pretrained_weights
from calibrant.models.licences import about_pretrained
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.models.preprocessing import Preprocessing
from calibrant.storage import read_json

_LOCAL = {"licence": "its author's", "limits": "not stated"}


def architectures() -> list[str]:
    """Name the architectures that open_clip can build.

    Returns:
        Their names.

    Example:
        >>> "ViT-B-32" in architectures()
        True
    """
    import open_clip

    return list(open_clip.list_models())


def pretrained_rows() -> list[dict[str, Any]]:
    """Describe open_clip's pretrained models for `list_models`.

    Returns:
        For each a dict with name, what, licence, source and limits.
    """
    import open_clip

    rows = []
    for architecture, tag in open_clip.list_pretrained():
        config = open_clip.get_pretrained_cfg(architecture, tag)
        size = open_clip.get_model_config(architecture)["vision_cfg"].get("image_size", 224)
        what = f"{architecture} of open_clip, {size} px"
        rows.append({"name": f"{architecture}/{tag}", "what": what, **about_pretrained(tag, config)})
    return rows


def load_pretrained(architecture: str, tag: str, offline: bool) -> OpenClipEncoder:
    """Load an architecture with the weights of a pretrained tag.

    Args:
        architecture: one of `architectures`.
        tag: one of open_clip's tags of it.
        offline: never open a socket.

    Returns:
        The model; its activation is the one that the weights were trained with.

    Raises:
        InputError: if the tag is unknown or its weights cannot be had.
    """
    import open_clip

    known = open_clip.list_pretrained_tags_by_model(architecture)
    if tag not in known:
        raise unknown("model", f"{architecture}/{tag}", [f"{architecture}/{other}" for other in known])
    pretrained = open_clip.get_pretrained_cfg(architecture, tag)
    weights = pretrained_weights(f"{architecture}/{tag}", pretrained, offline)
    config = open_clip.get_model_config(architecture)
    # the tag knows: open_clip's ViT-B-32 says plain GELU, but OpenAI's weights of it want QuickGELU
    config["quick_gelu"] = bool(config.get("quick_gelu") or pretrained.get("quick_gelu"))
    about = {**about_pretrained(tag, pretrained), "pretrained": tag}
    return _assemble(f"{architecture}/{tag}", config, weights, pretrained, about, architecture, offline)


def load_checkpoint(architecture: str, weights: Path, offline: bool) -> OpenClipEncoder:
    """Load an architecture with the weights of a local file.

    Args:
        architecture: one of `architectures`; a file cannot tell which activation it was trained with, so the
            name decides.
        weights: the file.
        offline: never open a socket.

    Returns:
        The model.

    Raises:
        InputError: if the file is not of this architecture.
    """
    import open_clip

    config = open_clip.get_model_config(architecture)
    config["quick_gelu"] = bool(config.get("quick_gelu"))
    if "openai" in weights.name.lower() and not config["quick_gelu"]:
        warnings.warn(
            f"{weights.name} looks like OpenAI's weights, which want QuickGELU, unlike {architecture}; "
            f"use {architecture}-quickgelu",
            CalibrantWarning,
            stacklevel=3,
        )
    about = {**_LOCAL, "source": str(weights), "pretrained": weights.name}
    return _assemble(f"{architecture}:{weights}", config, weights, {}, about, architecture, offline)


def load_folder(folder: Path, name: str, offline: bool, weights: Path | None = None) -> OpenClipEncoder:
    """Load a model from a folder as open_clip writes it for the hub, and as `checkpoints.save_model` does.

    Args:
        folder: with open_clip_config.json.
        name: what the user asked for.
        offline: never open a socket.
        weights: the file; by default the only or the usual one in the folder.

    Returns:
        The model.

    Raises:
        InputError: if config or weights are missing, or do not fit each other.
    """
    if weights is not None and not weights.is_file():
        raise InputError(f"there is no checkpoint {weights}")
    if not (folder / CONFIG_NAME).is_file():
        cure = f"load_model('ARCHITECTURE', checkpoint='{weights}')" if weights else "another folder"
        raise InputError(f"{folder} has no {CONFIG_NAME} that tells the architecture; add it or use {cure}")
    content = read_json(folder / CONFIG_NAME)
    if not isinstance(content, Mapping) or not isinstance(content.get("model_cfg"), Mapping):
        raise InputError(f"{folder / CONFIG_NAME} has no 'model_cfg'")
    config = {**content["model_cfg"], "quick_gelu": bool(content["model_cfg"].get("quick_gelu"))}
    about = {**_LOCAL, "source": name, "pretrained": name, **content.get("about", {})}
    file = weights or _weights_in(folder)
    return _assemble(name, config, file, content.get("preprocess_cfg", {}), about, f"local-dir:{folder}", offline)


def _weights_in(folder: Path) -> Path:
    files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    safe = [path for path in files if path.suffix == ".safetensors"]
    if folder / WEIGHTS_NAME in files:
        return folder / WEIGHTS_NAME
    # the hub's folders hold the same weights twice, as safetensors and as a pickle
    for choice in (safe, files):
        if len(choice) == 1:
            return choice[0]
    if not files:
        raise InputError(f"{folder} has a config but no weights ({', '.join(SUFFIXES)})")
    names = ", ".join(path.name for path in files)
    raise InputError(f"{folder} has several weights files ({names}); name the one you mean")


def _assemble(
    name: str,
    config: dict[str, Any],
    weights: Path,
    preprocess: Mapping[str, Any],
    about: Mapping[str, Any],
    tokenizer_of: str,
    offline: bool,
) -> OpenClipEncoder:
    import open_clip

    with hub_offline(offline):
        network = build_network(config)
        tokenizer = open_clip.get_tokenizer(tokenizer_of)
    load_weights(network, weights)
    preprocessing = Preprocessing.from_config({**preprocess, "size": network.visual.image_size})
    about = {**about, "architecture": config, "quick_gelu": config["quick_gelu"]}
    return OpenClipEncoder(network, tokenizer, preprocessing, name, about)


def build_network(config: Mapping[str, Any]) -> Any:
    """Build an open_clip network with random weights, always the same ones.

    Args:
        config: open_clip's ``model_cfg``.

    Returns:
        The network, a `torch.nn.Module`; PyTorch's random numbers are left as they were.

    Raises:
        InputError: if the config is not of open_clip's making.
        MissingExtra: if a tower needs a package that is not installed.
    """
    from open_clip.coca_model import CoCa
    from open_clip.model import CLIP, CustomTextCLIP

    own = deepcopy(dict(config))
    if not all(isinstance(own.get(tower), dict) for tower in ("vision_cfg", "text_cfg")):
        raise InputError("this is not a model config of open_clip: vision_cfg or text_cfg is missing")
    hugging_face = "hf_model_name" in own["text_cfg"]
    custom = own.pop("custom_text", False) or hugging_face
    kind: type[nn.Module] = (CoCa if "multimodal_cfg" in own else CustomTextCLIP) if custom else CLIP
    if hugging_face:
        require("transformers", "huggingface")
        own["text_cfg"]["hf_model_pretrained"] = False
    if "timm_model_name" in own["vision_cfg"]:
        require("timm", "clip")
        own["vision_cfg"]["timm_model_pretrained"] = False
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return kind(**own)
    except (TypeError, KeyError) as error:
        raise InputError(f"this is not a model config of open_clip: {error}") from error
