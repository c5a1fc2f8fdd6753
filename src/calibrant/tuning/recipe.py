"""A method as a recipe: what it is, what it trains, and every setting."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, JsonValue, model_validator

from calibrant.errors import InputError, unknown
from calibrant.tuning import components
from calibrant.tuning.recipe_file import read_yaml
from calibrant.tuning.resolve import Draft
from calibrant.tuning.settings import Place, Settings, Where, validate

Part = dict[str, JsonValue]
WITHOUT_LOSS = ("none", "closed_form", "search")
"""Solvers that have no objective."""


class Paper(Settings):
    """Where a method was published."""

    title: str
    authors: str
    year: int
    url: str


class Stage(Settings):
    """One training stage: what is trained, how, and towards what; each part is its name and its settings."""

    parameterization: Part
    solver: Part
    objective: Part | None = None
    regularizers: dict[str, Part] = Field(default_factory=dict)


class Recipe(Settings):
    """A method with every setting written out, as `load_recipe` gives it; its JSON form loads again.

    Attributes:
        name: what it was asked for, such as ``"carot@squared+dor"``.
        title: its name in prose.
        about: what it does, in one or two sentences.
        paper: where it was published.
        trains: what is trained, in words.
        works_for_new_classes: whether the tuned part helps with classes that were not seen in tuning.
        verified: how far it is verified: by a formula, by released code, by a published result.
        ran_on: which models it has been run on.
        remarks: what is a reconstruction, or attached where no paper attaches it.
        stages: one after the other; each goes on from the tensors of the one before.
        averaging: averagings of the last stage by name, in the order in which they are applied.
        profile: ``"published"`` or the name of another set of values.
    """

    name: str
    title: str
    about: str
    paper: Paper | None = None
    trains: str
    works_for_new_classes: bool
    verified: list[Literal["formula", "released code", "published result"]] = Field(default_factory=list)
    ran_on: list[Literal["tiny", "ViT-B/32 random weights", "ViT-B/16 weights"]] = Field(default_factory=list)
    remarks: list[str] = Field(default_factory=list)
    stages: list[Stage] = Field(min_length=1)
    averaging: dict[str, Part] = Field(default_factory=dict)
    profile: str = "published"

    @model_validator(mode="after")
    def _trains_towards_something(self) -> Recipe:
        for number, stage in enumerate(self.stages):
            if stage.objective is None and stage.solver.get("name") not in WITHOUT_LOSS:
                raise ValueError(f"stages.{number} has a solver but no objective")
        return self


class _File(Recipe):
    """What a recipe file may hold: a recipe, named by the file, and what may change in it.

    Attributes:
        added: settings that a part gets when it is added to this method with ``+``, by the part.
        versions: other readings of the method, ``name@version``: values by dotted place.
        profiles: values for other kinds of models: by dotted place, those of ``added`` among them; under ``versions``,
            by version, what is different for one of them.
    """

    name: str = ""
    added: dict[str, Part] = Field(default_factory=dict)
    versions: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    profiles: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _profiles_know_the_versions(self) -> _File:
        for name in self.profiles:
            for version in self.in_profile(name)[1]:
                if version not in self.versions:
                    raise ValueError(f"profiles.{name}.versions: there is no version '{version}'")
        return self

    def in_profile(self, name: str) -> tuple[dict[str, JsonValue], dict[str, dict[str, JsonValue]]]:
        """What a profile sets in all versions, and what it sets in one of them, by version."""
        for_all = dict(self.profiles.get(name, {}))
        given = for_all.pop("versions", {})
        versions = given.items() if isinstance(given, dict) else ()
        for_one = {version: changes for version, changes in versions if isinstance(changes, dict)}
        if for_one != given:
            raise ValueError(f"profiles.{name}.versions: needs values by place under the name of each version")
        return for_all, for_one


def load_recipe(method: str | Path, overrides: Mapping[str, Any] | None = None, profile: str = "published") -> Recipe:
    """Find a method, put together what ``+`` adds to it, and write out every setting.

    Later values win: the recipe, then its version, then its profile, then what the profile has for this version
    (``versions.<version>``), then `overrides`: a version says how a method is read, a profile what a model can take.
    A part that is added starts from its own defaults, then come those that the recipe has for it (``added``), then
    those of the profile (``added.<part>.<setting>``), then `overrides`.

    Args:
        method: a packaged recipe (``"coop"``), one of its versions (``"carot@squared"``) or a file (``"mine.yaml"``),
            each with regularizers or averagings added to its last stage (``"flyp+wise_ft"``).
        overrides: values by dotted place, as ``--set`` takes them: ``{"stages.0.solver.epochs": 5}``; a place
            that starts with a stage's own key (``solver.epochs``) means the last stage; None for a regularizer or an
            averaging leaves it out.
        profile: ``"published"`` for the values of the paper, or another profile of the recipe, such as
            ``"tiny"``.

    Returns:
        The recipe.

    Raises:
        InputError: if a method, version, profile, part or setting is unknown (with the nearest valid name), if a key
            is given twice, or if a value has the wrong type; the file and the line are named.

    Example:
        >>> load_recipe("wise-ft", {"averaging.wise_ft.alpha": 0.3}).averaging["wise_ft"]["alpha"]
        0.3
    """
    path, version, added = _parsed(method)
    values, lines = read_yaml(path)
    draft = Draft(values, partial(_line, path, lines))
    file = validate(_File, values, draft.where)
    if profile != "published" and profile not in file.profiles:
        raise unknown(f"profile of {path.stem}", profile, ["published", *file.profiles])
    if version is not None and not file.versions:
        raise InputError(f"{path.stem} has one version only: leave out '@{version}'")
    if version is not None and version not in file.versions:
        raise unknown(f"version of {path.stem}", version, file.versions)
    for key in ("profiles", "versions"):
        values.pop(key, None)
    name = path.stem if version is None else f"{path.stem}@{version}"
    values.update(name="+".join([name, *added]), profile=profile)
    for_all, for_one = file.in_profile(profile)
    draft.override(file.versions[version] if version else {}, f"{path.name}, version {version}")
    draft.override(for_all, f"{path.name}, profile {profile}")
    draft.override(for_one.get(version or "", {}), f"{path.name}, profile {profile}, version {version}")
    for part in added:
        draft.add(part)
    values.pop("added", None)
    draft.override(overrides or {}, "--set")
    return _complete(draft.values, draft.where)


def profiles_of(method: str | Path) -> list[str]:
    """List the profiles of a method.

    Args:
        method: as `load_recipe` takes it.

    Returns:
        ``"published"`` first.

    Raises:
        InputError: if there is no such method, or its file is not valid.

    Example:
        >>> profiles_of("coop+l2_sp")
        ['published', 'tiny']
    """
    path, _, _ = _parsed(method)
    values, lines = read_yaml(path)
    return _profiles(validate(_File, values, partial(_line, path, lines)))


def versions_of(method: str | Path) -> list[str]:
    """List the versions of a method.

    Args:
        method: as `load_recipe` takes it.

    Returns:
        What may follow its name and ``@``.

    Raises:
        InputError: if there is no such method, or its file is not valid.

    Example:
        >>> versions_of("flyp+ema")
        ['few-classes']
    """
    path, _, _ = _parsed(method)
    values, lines = read_yaml(path)
    return list(validate(_File, values, partial(_line, path, lines)).versions)


def list_recipes() -> list[dict[str, Any]]:
    """Describe every method, for ``calibrant list methods``; does not need torch.

    Returns:
        One row per recipe: name, versions, title, about, trains, objective, regularizers, averaging, paper,
        works_for_new_classes, verified, ran_on, remarks, profiles.

    Raises:
        InputError: if a recipe file is not valid.

    Example:
        >>> [row["name"] for row in list_recipes()][:3]
        ['car-ft', 'carot', 'clip-adapter']
    """
    rows = []
    for name, path in _recipes().items():
        values, lines = read_yaml(path)
        recipe = validate(_File, values, partial(_line, path, lines))
        last = recipe.stages[-1]
        rows.append(
            {
                "name": name,
                "versions": list(recipe.versions),
                **{key: getattr(recipe, key) for key in _LISTED},
                "parameterization": last.parameterization.get("name"),
                "objective": last.objective.get("name") if last.objective else None,
                "regularizers": list(last.regularizers),
                "averaging": list(recipe.averaging),
                "paper": recipe.paper.model_dump() if recipe.paper else None,
                "profiles": _profiles(recipe),
            }
        )
    return rows


_LISTED = ("title", "about", "trains", "works_for_new_classes", "verified", "ran_on", "remarks")


def _profiles(recipe: _File) -> list[str]:
    return ["published", *(name for name in recipe.profiles if name != "published")]


def _line(path: Path, lines: Mapping[Place, int], place: Place) -> str:
    """Name the line of a place in a file, or nothing where the file does not have it."""
    if place in lines:
        return f"{path.name} line {lines[place]}"
    return "" if place else path.name


def _recipes() -> dict[str, Path]:
    """All recipe files by name; a plug-in cannot replace a packaged one."""
    found: dict[str, Path] = {}
    for folder in components.recipe_folders():
        for path in sorted(folder.glob("*.yaml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def _parsed(method: str | Path) -> tuple[Path, str | None, list[str]]:
    """Take ``name@version+part+part`` apart; the name of a file may have any of these signs."""
    text = str(method)
    if Path(text).is_file():
        return Path(text), None, []
    left, *added = text.split("+")
    if Path(left).is_file():
        return Path(left), None, added
    name, at, version = left.rpartition("@")
    return _find(name if at else left), version if at else None, added


def _find(method: str) -> Path:
    if method.endswith((".yaml", ".yml")):
        return Path(method)
    known = _recipes()
    if method not in known:
        raise unknown("method", method, known)
    return known[method]


def _complete(values: dict[str, Any], where: Where) -> Recipe:
    """Check every part against its own settings and write out the defaults."""
    recipe = validate(Recipe, values, where)
    resolved = recipe.model_dump(mode="json")
    for number, stage in enumerate(resolved["stages"]):
        place: Place = ("stages", number)
        for key, registry in _ONE_OF.items():
            if stage[key] is not None:
                stage[key] = _part(registry, stage[key], where, (*place, key))
        stage["regularizers"] = _parts(components.REGULARIZERS, stage["regularizers"], where, (*place, "regularizers"))
    resolved["averaging"] = _parts(components.AVERAGINGS, resolved["averaging"], where, ("averaging",))
    return Recipe.model_validate(resolved)


_ONE_OF = {
    "parameterization": components.PARAMETERIZATIONS,
    "solver": components.SOLVERS,
    "objective": components.OBJECTIVES,
}


def _part(registry: components.Registry[Any], given: dict[str, Any], where: Where, place: Place) -> dict[str, Any]:
    name = given.get("name")
    if not isinstance(name, str):
        raise InputError(f"{where(place)}: {registry.kind} needs a 'name'; known: {', '.join(registry.names())}")
    rest = {key: value for key, value in given.items() if key != "name"}
    return {"name": name, **registry.settings(name, rest, where, place)}


def _parts(registry: components.Registry[Any], given: dict[str, Any], where: Where, place: Place) -> dict[str, Any]:
    return {name: registry.settings(name, value, where, (*place, name)) for name, value in given.items()}
