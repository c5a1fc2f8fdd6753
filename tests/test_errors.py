"""What is missing is asked for by a name that pip knows."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from calibrant.errors import MissingExtra, require, unknown

ROOT = Path(__file__).parents[1]


def required() -> dict[tuple[str, str], str]:
    """Module and extra of every call of `require` in the package, and where it is."""
    found = {}
    for file in sorted((ROOT / "src" / "calibrant").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "require":
                module, extra = (ast.literal_eval(argument) for argument in node.args)
                found[module, extra] = file.name
    return found


def test_every_extra_that_is_asked_for_exists() -> None:
    with open(ROOT / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    calls = required()
    assert ("torch", "clip") in calls
    assert [f"{place}: {extra}" for (_, extra), place in calls.items() if extra not in extras] == []
    # what an extra is asked for because of, it names, or brings with one of its packages
    brought = {"timm": "open_clip_torch", "open_clip": "open_clip_torch"}
    for module, extra in calls:
        package = module.partition(".")[0]
        assert any(line.startswith(brought.get(package, package)) for line in extras[extra]), (module, extra)


def test_a_missing_package_is_asked_for_by_its_extra() -> None:
    with pytest.raises(MissingExtra, match=r"this needs no_such_package.*pip install 'calibrant\[clip\]'"):
        require("no_such_package", "clip")


def test_a_name_with_a_good_guess_comes_without_the_long_list() -> None:
    many = [f"method-{number}" for number in range(30)]
    assert str(unknown("method", "methd-7", many)) == "unknown method 'methd-7'; did you mean 'method-7'?"
    assert str(unknown("method", "xyz", many)).endswith("known: " + ", ".join(sorted(many)[:20]) + ", ...")
