"""The page of methods knows every method, and names none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from calibrant.tuning.components import AVERAGINGS, OBJECTIVES, REGULARIZERS
from calibrant.tuning.recipe import list_recipes

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
RECIPES = {row["name"]: row for row in list_recipes()}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_described(name):
    assert re.search(rf"\*\* \(.*`{name}`.*\)\.", PAGE), f"docs/methods.md has no paragraph for {name}"


@pytest.mark.parametrize("name", [*REGULARIZERS.names(), *AVERAGINGS.names()])
def test_everything_that_can_be_added_is_named(name):
    assert f"`+{name}`" in PAGE


def test_nothing_is_named_that_is_not_there():
    parts = {*REGULARIZERS.names(), *AVERAGINGS.names()}
    assert set(re.findall(r"`\+(\w+)`", PAGE)) <= parts
    for method, version in re.findall(r"`([a-z-]+)@([a-z-]+)", PAGE):
        assert version in RECIPES[method]["versions"]
    for method, added in re.findall(r"(?:`|--method )([a-z-]+)\+(\w+)", PAGE):
        assert method in RECIPES
        assert added in parts
    assert set(re.findall(r"objective\.name=(\w+)", PAGE)) <= set(OBJECTIVES.names())
