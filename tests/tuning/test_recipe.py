"""Recipes: what is read, what is refused, and with which words."""

from __future__ import annotations

import subprocess
import sys

import pytest

from calibrant.errors import InputError
from calibrant.tuning.components import AVERAGINGS, OBJECTIVES, PARAMETERIZATIONS, REGULARIZERS, SOLVERS
from calibrant.tuning.recipe import Recipe, list_recipes, load_recipe, profiles_of
from calibrant.tuning.recipe_file import read_value, read_yaml

NAMES = ["coop", "flyp", "ft", "linear-probe", "lp-ft", "wise-ft", "zero-shot"]
MINE = """\
title: Mine
about: A test.
trains: context
works_for_new_classes: true
stages:
  - parameterization: {name: text_context, tokens: 2}
    solver:
      name: steps
      learning_rate: 1e-3
      steps: 3
      batch_size: 4
    objective: {name: cross_entropy}
profiles:
  tiny:
    stages.0.solver.steps: 1
    solver.batch_size: 2
  nested: {stages: {0: {solver: {steps: 2}}}}
added:
  l2_sp: {weight: 8}
"""
VERSIONS = """\
versions:
  wide: {stages.0.parameterization.tokens: 4, solver.batch_size: 3}
  narrow: {parameterization: {name: text_context, tokens: 1}}
"""


@pytest.fixture
def mine(tmp_path):
    def write(old="", new=""):
        assert old in MINE
        path = tmp_path / "mine.yaml"
        path.write_text(MINE.replace(old, new) if old else MINE, encoding="utf-8")
        return path

    return write


def message(call):
    with pytest.raises(InputError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_all_packaged_recipes_load_in_both_profiles():
    assert [row["name"] for row in list_recipes() if row["name"] in NAMES] == NAMES
    for name in NAMES:
        for profile in ("published", "tiny"):
            recipe = load_recipe(name, profile=profile)
            assert recipe.name == name
            assert recipe.profile == profile


def test_published_recipes_augment_at_every_step_and_tiny_text_ones_keep_views():
    for name in NAMES:
        for stage in load_recipe(name).stages:
            assert stage.solver.get("views", "live") == "live"
    assert load_recipe("coop", profile="tiny").stages[0].solver["views"] >= 8


def test_a_resolved_recipe_is_json_and_loads_again():
    recipe = load_recipe("flyp+wise_ft+l2_sp", {"regularizers.l2_sp.weight": 2})
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert recipe.stages[0].solver["clip_gradient"] is None, "defaults are written out"


def test_adding_goes_to_the_last_stage():
    recipe = load_recipe("lp-ft+l2-sp+ema")
    assert not recipe.stages[0].regularizers
    assert list(recipe.stages[1].regularizers) == ["l2_sp"]
    assert list(recipe.averaging) == ["ema"]


def test_later_values_win(mine):
    path = mine()
    assert load_recipe(path).stages[0].solver["steps"] == 3
    tiny = load_recipe(path, profile="tiny").stages[0].solver
    assert (tiny["steps"], tiny["batch_size"]) == (1, 2)
    assert load_recipe(path, profile="nested").stages[0].solver["steps"] == 2
    assert load_recipe(path, {"solver.steps": 9}, profile="tiny").stages[0].solver["steps"] == 9


def test_what_is_added_takes_the_parts_default_then_the_recipes_then_the_profiles_then_set(mine):
    def weight(method, changes=None, profile="published"):
        return load_recipe(method, changes, profile).stages[0].regularizers["l2_sp"]["weight"]

    assert weight(f"{mine('  l2_sp: {weight: 8}', '  ema: {every: 2}')}+l2_sp") == 0.1
    path = mine()
    assert weight(f"{path}+l2_sp") == 8
    assert weight(f"{path}+l2-sp") == 8, "either spelling"
    path = mine("    solver.batch_size: 2", "    solver.batch_size: 2\n    added.l2_sp.weight: 5")
    assert weight(f"{path}+l2_sp") == 8
    assert weight(f"{path}+l2_sp", profile="tiny") == 5
    assert weight(f"{path}+l2_sp", {"regularizers.l2_sp.weight": 4}, "tiny") == 4
    assert not load_recipe(path, profile="tiny").stages[0].regularizers, "it waits for its '+'"


def test_wrong_settings_of_what_is_added_are_named(mine):
    assert "+l2_sp: unknown setting 'wait'" in message(lambda: load_recipe(f"{mine('weight: 8', 'wait: 8')}+l2_sp"))


def test_a_version_changes_the_recipe_in_every_profile_and_the_profile_has_the_last_word(mine):
    path = mine()
    path.write_text(MINE + VERSIONS, encoding="utf-8")
    method, narrow = f"{path}@wide", f"{path}@narrow+l2_sp"
    for profile, steps, size in (("published", 3, 3), ("tiny", 1, 2)):
        recipe = load_recipe(method, profile=profile)
        assert recipe.stages[0].parameterization["tokens"] == 4
        assert (recipe.stages[0].solver["steps"], recipe.stages[0].solver["batch_size"]) == (steps, size)
    assert load_recipe(method, {"solver.batch_size": 9}).stages[0].solver["batch_size"] == 9
    assert load_recipe(narrow).stages[0].parameterization["tokens"] == 1
    assert load_recipe(narrow).stages[0].regularizers["l2_sp"]["weight"] == 8
    assert load_recipe(narrow).name == "mine@narrow+l2_sp"
    assert profiles_of(narrow) == ["published", "tiny", "nested"]
    again = Recipe.model_validate_json(load_recipe(narrow).model_dump_json())
    assert again == load_recipe(narrow)
    assert "unknown version of mine 'wde'; did you mean 'wide'?" in message(lambda: load_recipe(f"{path}@wde"))


def test_a_profile_has_values_for_one_version(mine):
    of_wide = "    solver.batch_size: 2\n    versions:\n      wide: {solver.batch_size: 5, parameterization.tokens: 3}"
    path = mine("    solver.batch_size: 2", of_wide)
    path.write_text(path.read_text() + VERSIONS, encoding="utf-8")

    def values(method, changes=None, profile="tiny"):
        stage = load_recipe(method, changes, profile).stages[0]
        return stage.solver["batch_size"], stage.parameterization["tokens"]

    assert values(path) == (2, 2)
    assert values(f"{path}@wide") == (5, 3)
    assert values(f"{path}@wide", {"solver.batch_size": 9}) == (9, 3)
    assert values(f"{path}@wide", profile="published") == (3, 4)
    assert values(f"{path}@narrow") == (2, 1)
    path.write_text(path.read_text().replace("      wide: {", "      wied: {"), encoding="utf-8")
    assert "profiles.tiny.versions: there is no version 'wied'" in message(lambda: load_recipe(path))
    path.write_text(path.read_text().replace("wied: {solver.batch_size: 5, parameterization.tokens: 3}", "wide: 3"))
    assert "profiles.tiny.versions: needs values by place" in message(lambda: load_recipe(path))


def test_every_version_of_every_recipe_loads_in_every_profile():
    for row in list_recipes():
        for version in row["versions"]:
            changed = []
            for profile in row["profiles"]:
                recipe = load_recipe(f"{row['name']}@{version}", profile=profile)
                assert recipe.name == f"{row['name']}@{version}"
                changed.append(recipe.stages != load_recipe(row["name"], profile=profile).stages)
            # a version may be what one profile has anyway, as coop@ijcv is what was published
            assert any(changed), "it changes something"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("      steps: 3", "      stepz: 3", "line 10: unknown setting 'stepz'; did you mean 'steps'?"),
        ("about: A test.", "abuot: A test.", "line 2: unknown setting 'abuot'; did you mean 'about'?"),
        ("learning_rate: 1e-3", "learning_rate: fast", "mine.yaml line 9: stages.0.solver.learning_rate"),
        ("learning_rate: 1e-3", "learning_rate: -1", "mine.yaml line 9: stages.0.solver.learning_rate"),
        (
            "{name: cross_entropy}",
            "{name: cross_entrophy}",
            "line 12: unknown objective 'cross_entrophy'; did you",
        ),
        ("{name: cross_entropy}", "{}", "mine.yaml line 12: objective needs a 'name'"),
        (
            "{name: text_context,",
            "{name: text_contxt,",
            "line 6: unknown parameterization 'text_contxt'; did",
        ),
        ("tokens: 2", "tokenz: 2", "mine.yaml line 6: unknown setting 'tokenz'; did you mean 'tokens'?"),
        ("title: Mine\n", "", "mine.yaml: title is missing"),
        ("title: Mine\n", "title: Mine\ntitle: Yours\n", "mine.yaml line 2: 'title' is there twice"),
        ("title: Mine\n", "title: [Mine\n", "not valid YAML"),
        ("      steps: 3", "      steps: 3\n      epochs: 2", "one of the two"),
        ("    objective: {name: cross_entropy}\n", "", "has a solver but no objective"),
        ("title: Mine", "title: &a Mine\nname: *a", "aliases are not used"),
    ],
)
def test_faults_are_named_with_file_and_line(old, new, words, mine):
    path = mine(old, new)
    assert words in message(lambda: load_recipe(path))


@pytest.mark.parametrize(
    ("method", "changes", "profile", "words"),
    [
        ("coup", {}, "published", "unknown method 'coup'; did you mean 'coop'?"),
        ("coop", {}, "tinny", "did you mean 'tiny'?"),
        ("coup@x", {}, "published", "unknown method 'coup'; did you mean 'coop'?"),
        ("zero-shot@x", {}, "published", "zero-shot has one version only: leave out '@x'"),
        ("missing.yaml@x", {}, "published", "cannot read missing.yaml"),
        ("coop+wise-ftt", {}, "published", "did you mean 'wise_ft'?"),
        ("wise-ft+wise_ft", {}, "published", "the method has 'wise_ft' already"),
        ("ft+l2_sp+l2_sp", {}, "published", "the method has 'l2_sp' already"),
        ("coop", {"solver.epochz": 1}, "published", "--set: unknown setting 'epochz'; did you mean 'ep"),
        ("coop", {"stages.1.solver.epochs": 1}, "published", "there is no stages.1"),
        ("coop", {"stagez.0": 1}, "published", "did you mean 'stages'?"),
        ("coop", {"title.x": 1}, "published", "title is a value"),
        ("coop", {"name": "x"}, "published", "cannot be set"),
        ("coop", {"regularizers.l2sp.weight": 1}, "published", "did you mean 'l2_sp'?"),
        ("coop", {"solver.optimizer": "adamm"}, "published", "--set: stages.0.solver.optimizer"),
        ("missing.yaml", {}, "published", "cannot read missing.yaml"),
    ],
)
def test_faults_of_a_command_are_named(method, changes, profile, words):
    assert words in message(lambda: load_recipe(method, changes, profile))


def test_scalars_are_those_of_yaml_1_2(tmp_path):
    expected = {
        "1e-5": 1e-5,
        "-.5": -0.5,
        "3": 3,
        "true": True,
        "null": None,
        "~": None,
        ".inf": float("inf"),
    }
    words = ["no", "on", "yes", "1:30", "2020-01-01", "1_000"]
    for text, value in [*expected.items(), *zip(words, words, strict=True)]:
        assert read_value(text) == value
        assert type(read_value(text)) is type(value)
    path = tmp_path / "a.yaml"
    path.write_text("words:\n  - no\n  - a: 1e-3\n", encoding="utf-8")
    values, lines = read_yaml(path)
    assert values == {"words": ["no", {"a": 1e-3}]}
    assert lines == {("words",): 1, ("words", 0): 2, ("words", 1): 3, ("words", 1, "a"): 3}


def test_every_part_has_settings_and_a_docstring():
    for registry in (AVERAGINGS, OBJECTIVES, PARAMETERIZATIONS, REGULARIZERS, SOLVERS):
        for name in registry.names():
            part = registry.get(name)
            assert part.name == name
            assert part.__doc__
            assert part.Settings.model_config["extra"] == "forbid"


def test_other_packages_add_parts_and_recipes(tmp_path, monkeypatch):
    from calibrant.tuning import components

    package = tmp_path / "calibrant_plugin_for_a_test"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from calibrant.tuning.components import REGULARIZERS\n"
        "from calibrant.tuning.regularizers.base import Regularizer\n"
        "@REGULARIZERS.register('nothing_at_all')\n"
        "class Nothing(Regularizer):\n"
        "    'No term.'\n",
        encoding="utf-8",
    )
    (package / "theirs.yaml").write_text(MINE, encoding="utf-8")
    information = tmp_path / "calibrant_plugin_for_a_test-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Name: calibrant-plugin-for-a-test\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[calibrant.methods]\nmine = calibrant_plugin_for_a_test\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(REGULARIZERS, "_parts", dict(REGULARIZERS._parts))
    components.plugins.cache_clear()
    try:
        recipe = load_recipe("theirs+nothing_at_all")
        assert recipe.stages[0].regularizers == {"nothing_at_all": {"weight": 1.0}}
    finally:
        components.plugins.cache_clear()


def test_listing_methods_needs_no_torch():
    code = "import sys, calibrant.tuning as t; t.list_recipes(); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
