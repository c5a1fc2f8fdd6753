"""Which models there are, and how a name becomes one."""

from __future__ import annotations

from typing import Any

from calibrant.errors import require
from calibrant.models.dual_encoder import DualEncoder


def load_model(name: str, *, offline: bool = False) -> DualEncoder:
    """Load a model by name."""
    require("open_clip", "clip")
    from calibrant.models.tiny import load_tiny

    return load_tiny()


def list_models() -> list[dict[str, Any]]:
    """List the models."""
    return []
