"""Every version of every recipe on the packaged model: within its profile, and still that version."""

from __future__ import annotations

import functools

import pytest
from tuning_toy import make_train

from calibrant.models.registry import load_model
from calibrant.tuning import fit, list_recipes, load_recipe

VERSIONS = [f"{row['name']}@{version}" for row in list_recipes() for version in row["versions"]]
# versions that on this profile are what the method is anyway, and why
THE_SAME = {
    "coop@base-to-new": "the profile starts from a phrase, since it has few steps",
}

tiny = functools.cache(lambda: load_model("tiny", offline=True))


def parts(recipe):
    """What the method is made of, stage by stage, without settings."""
    stages = [
        (stage.parameterization["name"], (stage.objective or {}).get("name"), set(stage.regularizers))
        for stage in recipe.stages
    ]
    return stages, set(recipe.averaging)


@pytest.mark.parametrize("method", VERSIONS)
def test_a_version_keeps_to_the_length_and_the_pace_of_the_profile(method):
    plain, own = (load_recipe(name, profile="tiny") for name in (method.partition("@")[0], method))
    for stage, beside in zip(own.stages, plain.stages, strict=False):
        assert stage.solver == beside.solver
    assert all(stage.solver["name"] != "steps" for stage in own.stages[len(plain.stages) :])


@pytest.mark.parametrize("method", VERSIONS)
def test_a_version_is_made_of_its_own_parts_in_every_profile(method):
    plain, own = (load_recipe(name, profile="tiny") for name in (method.partition("@")[0], method))
    assert parts(own) == parts(load_recipe(method))
    same = (own.stages, own.averaging) == (plain.stages, plain.averaging)
    assert same == (method in THE_SAME)


@pytest.mark.parametrize("method", VERSIONS)
def test_a_version_can_be_tuned(method, cache):
    changes = {
        f"stages.{number}.solver.{key}": value
        for number, stage in enumerate(load_recipe(method, profile="tiny").stages)
        if stage.solver["name"] == "steps"
        for key, value in {"steps": 1, "batch_size": 2, "precision": "fp32"}.items()
    }
    rows = []
    recipe, train = load_recipe(method, changes, "tiny"), make_train()
    fit(tiny(), train, recipe, cache=cache, progress=False, log=rows.append, validation=train)
    assert sum("loss" in row for row in rows) == len(changes) // 3
