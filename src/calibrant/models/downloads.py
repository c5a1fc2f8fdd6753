"""Pretrained weights from the network, or from what an earlier download left on this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from calibrant.errors import InputError

_VARIABLES = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def pretrained_weights(name: str, config: Mapping[str, Any], offline: bool) -> Path:
    """Find the weights of an open_clip tag: on this machine, otherwise in the network.

    Args:
        name: what the user asked for, for messages.
        config: open_clip's entry of the tag.
        offline: never open a socket.

    Returns:
        The file.

    Raises:
        InputError: if the weights are not here and the network is not to be used or does not answer.
    """
    found = _downloaded(config)
    if found is not None:
        return found
    if offline:
        raise InputError(
            f"the weights of {name} are not on this machine and offline is set; "
            "load them once with a network, or give a local checkpoint"
        )
    from open_clip.pretrained import download_pretrained

    try:
        _reach("huggingface.co" if config.get("hf_hub") else urlsplit(str(config.get("url", ""))).netloc)
        return Path(download_pretrained(dict(config)))
    except (OSError, RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"cannot download the weights of {name}; check the network, or give a local checkpoint ({reason})"
        ) from error


def _reach(host: str) -> None:
    """Fail at once where the hub's own client would retry for most of a minute."""
    if not getproxies():
        socket.getaddrinfo(host, 443)


def _downloaded(config: Mapping[str, Any]) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    repository, file = os.path.split(config.get("hf_hub", ""))
    for candidate in (file,) if file else _HUB_FILES:
        cached = try_to_load_from_cache(repository, candidate) if repository else None
        if isinstance(cached, str):
            return Path(cached)
    url = config.get("url", "")
    direct = Path("~/.cache/clip").expanduser() / os.path.basename(url)
    return direct if url and direct.is_file() else None


@contextmanager
def hub_offline(offline: bool) -> Iterator[None]:
    """Keep the libraries of Hugging Face from the network while a tower or tokenizer of theirs is built.

    Args:
        offline: whether to.

    Yields:
        Nothing.

    Example:
        >>> with hub_offline(True):
        ...     os.environ["HF_HUB_OFFLINE"]
        '1'
    """
    if not offline:
        yield
        return
    import huggingface_hub.constants

    # the hub's library reads the variable once, at import; so both the variable and what was read have to say
    # it
    constants = huggingface_hub.constants
    before, read = {name: os.environ.get(name) for name in _VARIABLES}, constants.HF_HUB_OFFLINE
    os.environ.update(dict.fromkeys(_VARIABLES, "1"))
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = read
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
