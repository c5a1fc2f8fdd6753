"""Settings that refuse what they do not know, and the words of the refusal."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from calibrant.errors import InputError, unknown

Place = tuple[str | int, ...]
Where = Callable[[Place], str]
Model = TypeVar("Model", bound=BaseModel)


class Settings(BaseModel):
    """Named values with types; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def contents(self) -> dict[str, str]:
        """Give a digest of what lies behind each setting that names a file or a data set, by setting.

        It may change while the setting stays the same; a run that is resumed must find it unchanged.
        """
        return {}


def dotted(place: Iterable[str | int]) -> str:
    """Write a place in a recipe the way ``--set`` takes it.

    Example:
        >>> dotted(("stages", 0, "solver"))
        'stages.0.solver'
    """
    return ".".join(str(part) for part in place)


def validate(model: type[Model], value: Any, where: Where, place: Place = ()) -> Model:
    """Check a value against a settings class.

    Args:
        model: the settings class.
        value: nested dictionaries, lists and scalars.
        where: names the file and line of a place, for the error.
        place: where in the recipe the value stands.

    Returns:
        The settings.

    Raises:
        InputError: if a name is unknown (with the nearest valid one), missing, or has a wrong value.

    Example:
        >>> class Size(Settings):
        ...     width: int
        >>> validate(Size, {"widht": 3}, lambda place: "a.yaml line 1")
        Traceback (most recent call last):
        ...
        calibrant.errors.InputError: a.yaml line 1: unknown setting 'widht'; did you mean 'width'?
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors()
        # a misspelt key usually shows up twice, as unknown and as missing: the first is the helpful one
        fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
        location: Place = tuple(fault["loc"])
        if fault["type"] == "extra_forbidden":
            options = _fields(model, location[:-1])
            message = str(unknown("setting", str(location[-1]), options))
        elif fault["type"] == "missing":
            message = f"{dotted((*place, *location))} is missing"
        else:
            reason = fault["msg"].removeprefix("Value error, ")
            path = dotted((*place, *location))
            message = f"{path}: {reason} (got {fault['input']!r})" if location else f"{path}: {reason}"
        full: Place = (*place, *location)
        # what is missing has no line of its own: name what it is missing in
        origin = next(filter(None, (where(full[:length]) for length in range(len(full), -1, -1))), "")
        raise InputError(f"{origin}: {message}" if origin else message) from None


def _fields(model: type[BaseModel], place: Place) -> list[str]:
    """The valid names at a place inside nested settings classes."""
    current: Any = model
    for part in place:
        if isinstance(part, int) or not (isinstance(current, type) and issubclass(current, BaseModel)):
            continue
        field = current.model_fields.get(part)
        current = _settings_class(field.annotation) if field else current
    return list(current.model_fields)


def _settings_class(annotation: Any) -> Any:
    """The settings class inside ``list[X]``, ``X | None`` or ``X``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, list, tuple):
        found = (_settings_class(argument) for argument in get_args(annotation))
        return next((one for one in found if one is not None), None)
    return None
