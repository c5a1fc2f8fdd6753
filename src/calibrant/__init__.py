"""Calibrant fine-tunes CLIP-like vision-language models so that their confidence can be believed.

The names below are loaded when they are first used, so ``import calibrant`` stays fast and works without torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from calibrant import calibration as calibration
    from calibrant import metrics as metrics
    from calibrant import rationality as rationality
    from calibrant.data.registry import list_data as list_data
    from calibrant.data.registry import load_data as load_data
    from calibrant.models.registry import list_models as list_models
    from calibrant.models.registry import load_model as load_model
    from calibrant.predictions import Predictions as Predictions
    from calibrant.predictions import read_predictions as read_predictions
    from calibrant.runs import Run as Run
    from calibrant.tune import tune as tune
    from calibrant.tuning.recipe import list_recipes as list_recipes

_HOMES = {
    "load_model": "calibrant.models.registry",
    "list_models": "calibrant.models.registry",
    "load_data": "calibrant.data.registry",
    "list_data": "calibrant.data.registry",
    "list_recipes": "calibrant.tuning.recipe",
    "tune": "calibrant.tune",
    "Predictions": "calibrant.predictions",
    "read_predictions": "calibrant.predictions",
    "Run": "calibrant.runs",
}
_ROOMS = ("calibration", "metrics", "rationality")

__all__ = [
    "__version__",
    "calibration",
    "list_data",
    "list_models",
    "list_recipes",
    "load_data",
    "load_model",
]
__all__ += ["Predictions", "Run", "metrics", "rationality", "read_predictions", "tune"]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"calibrant.{name}")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'calibrant' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The package itself, on which the function `tune` wins over the module that holds it.

    Python binds every imported submodule to its package, which would put the module ``calibrant.tune`` where users
    expect the function.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "tune" and isinstance(value, ModuleType):
            value = value.tune
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
