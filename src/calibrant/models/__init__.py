"""Dual encoders: loading them, feeding them text and images, and keeping their features."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibrant.models.dual_encoder import DualEncoder
    from calibrant.models.feature_cache import FeatureCache
    from calibrant.models.registry import list_models, load_model
    from calibrant.models.text import prompts, text_classifier

__all__ = ["DualEncoder", "FeatureCache", "list_models", "load_model", "prompts", "text_classifier"]

_HOMES = {
    "DualEncoder": "dual_encoder",
    "FeatureCache": "feature_cache",
    "list_models": "registry",
    "load_model": "registry",
    "prompts": "text",
    "text_classifier": "text",
}


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, so it comes only with the first thing that needs it
    if name not in _HOMES:
        raise AttributeError(f"module 'calibrant.models' has no attribute '{name}'")
    return getattr(importlib.import_module(f"calibrant.models.{_HOMES[name]}"), name)
