"""What a study file says: methods x shots x seeds, on which data, measured how."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from calibrant.errors import InputError
from calibrant.tuning.recipe_file import read_yaml
from calibrant.tuning.settings import Place, Settings, validate


class Variant(Settings):
    """A method with settings of its own.

    Args:
        method: a recipe, with ``+`` for what is added; or a recipe file.
        name: what tables call it; by default the method.
        set: settings by dotted place, such as ``{"solver.epochs": 5}``.
        profile: which settings of the recipe; by default chosen by the model.
    """

    method: str
    name: str = ""
    set: dict[str, Any] = Field(default_factory=dict)
    profile: str | None = None

    @property
    def title(self) -> str:
        return self.name or self.method


class Plan(Settings):
    """A study.

    Args:
        model: the model to tune.
        data: the data set to tune on; its test images are measured first.
        test: further data sets to measure on.
        data_options: for `load_data` of `data`, such as ``{"scenes": 500}``.
        methods: what is compared; words or variants.
        shots: training images per class; None for all.
        seeds: of shots and training; how often each method is tuned.
        calibrators: fitted on the validation images of each run, besides none.
        threads: of each process that tunes; results depend on it, and not on how many processes there are.
    """

    model: str
    data: str
    test: list[str] = Field(default_factory=list)
    data_options: dict[str, Any] = Field(default_factory=dict)
    methods: list[Variant] = Field(min_length=1)
    shots: list[int | None] = Field(default=[16], min_length=1)
    seeds: list[int] = Field(default=[1, 2, 3], min_length=1)
    calibrators: list[str] = Field(default=["temperature"])
    threads: int = Field(default=1, ge=1)

    @field_validator("methods", mode="before")
    @classmethod
    def _words(cls, value: Any) -> Any:
        """Take a word for a variant without settings."""
        if not isinstance(value, list):
            return value
        return [{"method": one} if isinstance(one, str) else one for one in value]


def read_plan(path: str | Path) -> Plan:
    """Read a study file, and refuse all that cannot be run before anything runs.

    Args:
        path: a YAML file.

    Returns:
        The plan.

    Raises:
        InputError: naming file and line of every fault: an unknown key, method, setting, calibrator or data set, or a
            name that is there twice.
    """
    values, lines = read_yaml(path)

    def where(place: Place) -> str:
        return f"{path} line {lines[place]}" if place in lines else str(path) if not place else ""

    plan = validate(Plan, values, where)
    faults = [f"{_nearest(where, place)}: {message}" for place, message in _faults(plan)]
    if faults:
        raise InputError("; ".join(faults))
    return plan


def _nearest(where: Callable[[Place], str], place: Place) -> str:
    return next(filter(None, (where(place[:length]) for length in range(len(place), -1, -1))))


def _faults(plan: Plan) -> Iterator[tuple[Place, str]]:
    """Find everything that only shows when names are looked up."""
    from calibrant.calibration.registry import calibrator
    from calibrant.data.registry import find_data

    titles: dict[str, int] = {}
    for number, one in enumerate(plan.methods):
        if one.title in titles:
            yield ("methods", number), f"'{one.title}' is there twice; give one of them another name"
        titles[one.title] = number
        if (fault := _fault(lambda one=one: _recipe(plan, one))) is not None:  # type: ignore[misc]
            yield ("methods", number), fault
    for number, name in enumerate(plan.calibrators):
        if (fault := _fault(lambda name=name: calibrator(name))) is not None:  # type: ignore[misc]
            yield ("calibrators", number), fault
    if (fault := _fault(lambda: find_data(plan.data, **plan.data_options))) is not None:
        yield ("data",), fault
    for number, name in enumerate(plan.test):
        if (fault := _fault(lambda name=name: find_data(name))) is not None:  # type: ignore[misc]
            yield ("test", number), fault


def _recipe(plan: Plan, one: Variant) -> None:
    from calibrant.tune import profile_for
    from calibrant.tuning.recipe import load_recipe

    load_recipe(one.method, one.set, profile=one.profile or profile_for(one.method, plan.model))


def _fault(attempt: Callable[[], Any]) -> str | None:
    try:
        attempt()
    except InputError as error:
        return str(error)
    return None
