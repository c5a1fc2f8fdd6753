"""Where and with what a run was made: enough to say why two runs differ."""

from __future__ import annotations

import platform
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = ("torch", "torchvision", "numpy", "open_clip_torch", "accelerate", "safetensors", "pillow")


def versions() -> dict[str, str]:
    """Name the versions of Python, Calibrant and the packages that numbers depend on.

    Returns:
        Package name to version; packages that are not installed are left out.

    Example:
        >>> sorted(set(versions()) & {"python", "calibrant", "numpy"})
        ['calibrant', 'numpy', 'python']
    """
    from calibrant import __version__

    found = {"python": platform.python_version(), "calibrant": __version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Describe the machine as far as results depend on it.

    Returns:
        ``platform``, ``processor`` and, once torch is in use, ``threads``.
    """
    described: dict[str, Any] = {"platform": platform.platform(), "processor": platform.machine()}
    torch = sys.modules.get("torch")
    if torch is not None:
        described["threads"] = torch.get_num_threads()
    return described


def now() -> str:
    """Tell the time in UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
