"""The parts that recipes are made of, found by name.

A part is a class that is decorated with its name, in a file of its own; nothing else has to know it. Packages outside
Calibrant add parts (and recipes) through the entry-point group ``calibrant.methods``: the module that an entry point
names is imported, which runs its decorators, and the ``*.yaml`` files beside it are recipes.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Generic, TypeVar

from calibrant.errors import unknown
from calibrant.tuning.settings import Place, Settings, Where, validate


class Component:
    """One part of a method; its constructor takes validated settings first."""

    name: ClassVar[str] = ""
    Settings: ClassVar[type[Settings]] = Settings


Kind = TypeVar("Kind", bound=Component)


class Registry(Generic[Kind]):
    """The parts of one kind by name.

    Args:
        kind: what a part is called in errors, such as ``"objective"``.
        package: the package whose modules hold Calibrant's own parts.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self.package = package
        self._parts: dict[str, type[Kind]] = {}

    def register(self, name: str) -> Callable[[type[Any]], type[Any]]:
        """Decorate the class that a recipe calls `name`.

        Args:
            name: lower case with underscores.

        Returns:
            The decorator.

        Raises:
            ValueError: if another class has the name already.
        """

        def decorate(part: type[Any]) -> type[Any]:
            known = self._parts.get(name)
            if known is not None and known.__qualname__ != part.__qualname__:
                raise ValueError(f"two {self.kind} classes are called '{name}'")
            part.name = name
            self._parts[name] = part
            return part

        return decorate

    def names(self) -> list[str]:
        """List the names of all parts, ours and those of entry points."""
        self._discover()
        return sorted(self._parts)

    def get(self, name: str, where: str = "") -> type[Kind]:
        """Find a part.

        Args:
            name: its name.
            where: file and line, for the error.

        Raises:
            InputError: if there is none of that name.
        """
        if name not in self.names():
            fault = unknown(self.kind, name, self._parts)
            raise type(fault)(f"{where}: {fault}" if where else str(fault))
        return self._parts[name]

    def settings(self, name: str, given: Mapping[str, Any], where: Where, place: Place) -> dict[str, Any]:
        """Check the settings of a part and fill in its defaults.

        Args:
            name: the part.
            given: its settings as written.
            where: names the file and line of a place.
            place: where in the recipe they stand.

        Returns:
            All settings, as JSON values.
        """
        part = self.get(name, where(place))
        return validate(part.Settings, dict(given), where, place).model_dump(mode="json")

    def build(self, name: str, given: Mapping[str, Any], *arguments: Any) -> Kind:
        """Make a part from its checked settings and what else its constructor takes."""
        part = self.get(name)
        return part(part.Settings.model_validate(dict(given)), *arguments)  # type: ignore[call-arg]

    def _discover(self) -> None:
        package = importlib.import_module(self.package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.package}.{module.name}")
        plugins()


@cache
def plugins() -> tuple[ModuleType, ...]:
    """Import the modules that other packages name in the entry-point group ``calibrant.methods``."""
    return tuple(importlib.import_module(point.module) for point in entry_points(group="calibrant.methods"))


def recipe_folders() -> list[Path]:
    """The folders that hold recipes: Calibrant's own and those of entry points."""
    own = Path(__file__).parents[1] / "recipes"
    return [own, *(Path(module.__file__).parent for module in plugins() if module.__file__)]


PARAMETERIZATIONS: Registry[Any] = Registry("parameterization", "calibrant.tuning.parameterizations")
OBJECTIVES: Registry[Any] = Registry("objective", "calibrant.tuning.objectives")
REGULARIZERS: Registry[Any] = Registry("regularizer", "calibrant.tuning.regularizers")
AVERAGINGS: Registry[Any] = Registry("averaging", "calibrant.tuning.averaging")
SOLVERS: Registry[Any] = Registry("solver", "calibrant.tuning.solvers")
