"""The house keeps its shape: imports go down only, nothing goes in circles, files stay small."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "calibrant"
FILES = sorted(PACKAGE.rglob("*.py"))

# What stands on one floor does not know its neighbours. Files of the package that are not named here compose
# rooms into steps (tune, predict, classify ...) around the run folder they share: together they are one room.
FLOORS = (
    {"errors"},
    {"storage", "arrays", "progress"},
    {"models", "data", "metrics", "predictions"},
    {"tuning", "calibration"},
    {"measuring", "rationality"},
    {"steps"},
    {"reporting", "studies"},
    {"report", "catalogue", "explaining"},
    {"explain"},
    {"demo"},
    {"cli"},
)
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}
WITHOUT_TORCH = {
    "errors",
    "storage",
    "arrays",
    "predictions",
    "metrics",
    "calibration",
    "measuring",
    "reporting",
    "data",
}


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def room(module: str) -> str:
    name = module.split(".")[1]
    return name if name in FLOOR_OF else "steps"


def imported(node: ast.AST) -> list[str]:
    """Name what one statement imports: the module itself where `from package import module` is meant."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        names = [f"{node.module}.{alias.name}" for alias in node.names]
        return [name if name in MODULES else str(node.module) for name in names]
    return []


def all_imports(file: Path) -> list[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [name for node in ast.walk(tree) for name in imported(node)]


def imports_on_loading(nodes: list[ast.stmt]) -> Iterator[str]:
    """Leave out what is imported inside functions or for type checkers only."""
    for node in nodes:
        yield from imported(node)
        if isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from imports_on_loading(node.body + node.orelse)
        if isinstance(node, ast.Try):
            yield from imports_on_loading(node.body)


INNER = [name for name in MODULES if name not in ("calibrant", "calibrant.__main__")]


@pytest.mark.parametrize("module", INNER)
def test_imports_go_down_only(module: str) -> None:
    for name in all_imports(MODULES[module]):
        if not name.startswith("calibrant.") or room(name) == room(module):
            continue
        assert FLOOR_OF[room(name)] < FLOOR_OF[room(module)], f"{module} imports {name}"


def test_nothing_goes_in_circles() -> None:
    graph = {}
    for module, file in MODULES.items():
        names = imports_on_loading(ast.parse(file.read_text(encoding="utf-8")).body)
        graph[module] = {name for name in names if name in MODULES and name != module}
    tuple(graphlib.TopologicalSorter(graph).static_order())


@pytest.mark.parametrize("module", [name for name in INNER if room(name) in WITHOUT_TORCH])
def test_the_core_never_names_torch(module: str) -> None:
    packages = {name.partition(".")[0] for name in all_imports(MODULES[module])}
    assert not packages & {"torch", "torchvision", "open_clip", "accelerate", "timm"}


@pytest.mark.parametrize("module", MODULES)
def test_files_are_small_and_named_after_a_subject(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= 400
    assert "utils" not in module
