"""Tuning: recipes, and what they are made of."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibrant.tuning.checkpoint import Checkpoint
    from calibrant.tuning.fitting import fit
    from calibrant.tuning.recipe import Recipe, list_recipes, load_recipe
    from calibrant.tuning.tuned_model import TunedModel

__all__ = [
    "Checkpoint",
    "Recipe",
    "TunedModel",
    "averaging",
    "fit",
    "list_recipes",
    "load_recipe",
    "objectives",
    "regularizers",
]

_HOMES = {
    "Checkpoint": "checkpoint",
    "Recipe": "recipe",
    "TunedModel": "tuned_model",
    "fit": "fitting",
    "list_recipes": "recipe",
    "load_recipe": "recipe",
}
_ROOMS = ("averaging", "objectives", "regularizers")


def __getattr__(name: str) -> Any:
    # torch takes seconds to import, so it comes only with the first thing that needs it
    if name in _ROOMS:
        return importlib.import_module(f"calibrant.tuning.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'calibrant.tuning' has no attribute '{name}'")
    return getattr(importlib.import_module(f"calibrant.tuning.{_HOMES[name]}"), name)
