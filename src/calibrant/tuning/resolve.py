"""A recipe while it is put together: the version, the profile, what is added with ``+``, then ``--set``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from calibrant.errors import InputError, unknown
from calibrant.tuning import components
from calibrant.tuning.settings import Place, Where, dotted

_STAGE_KEYS = ("parameterization", "solver", "objective", "regularizers")


class Draft:
    """Nested values that remember where each came from.

    Args:
        values: the recipe as written; changed in place.
        where: names the file and line of a place, or gives ``""`` for a place that it does not know.
    """

    def __init__(self, values: dict[str, Any], where: Where) -> None:
        self.values = values
        self._file = where
        self._origin: dict[Place, str] = {}

    def where(self, place: Place) -> str:
        """Name what last set a place, or the nearest one around it."""
        for length in range(len(place), -1, -1):
            origin = self._origin.get(place[:length]) or self._file(place[:length])
            if origin:
                return origin
        return "recipe"

    def add(self, name: str) -> None:
        """Add a regularizer to the last stage, or an averaging, with the settings that the recipe has for it.

        Args:
            name: as it follows the ``+``; ``-`` and ``_`` are the same.

        Raises:
            InputError: if there is none of that name, or the method has it already.
        """
        key = name.strip().replace("-", "_")
        regularizers, averagings = components.REGULARIZERS.names(), components.AVERAGINGS.names()
        if key in regularizers:
            place: Place = (*self._last_stage(), "regularizers", key)
        elif key in averagings:
            place = ("averaging", key)
        else:
            raise unknown("regularizer or averaging after '+'", name, [*regularizers, *averagings])
        self._refuse_twice(place, f"+{name}")
        given = {str(key).replace("-", "_"): value for key, value in (self.values.get("added") or {}).items()}
        self._set(place, dict(given.get(key, {})), f"+{name}")

    def override(self, changes: Mapping[str, Any], origin: str) -> None:
        """Set values by place.

        Args:
            changes: dotted places to values; a nested mapping sets the places inside it, an empty one is a
                value; None for a regularizer or an averaging leaves it out; a mapping for the stage behind the last one
                adds that stage.
            origin: what to name in an error.

        Raises:
            InputError: if a place lies inside something that has no places, or names a stage that is not
                there.
        """
        for key, value in changes.items():
            self._override(self._absolute(key, origin), value, origin)

    def _override(self, place: Place, value: Any, origin: str) -> None:
        # a part under another name starts from that part's own defaults
        if isinstance(value, Mapping) and self._is_next_stage(place):
            self.values["stages"].append(dict(value))
            self._origin[place] = origin
        elif isinstance(value, Mapping) and value and "name" not in value:
            for key, inner in value.items():
                self._override((*place, *_parsed(key)), inner, origin)
        else:
            self._set(place, value, origin)

    def _absolute(self, key: str, origin: str) -> Place:
        place = _parsed(key)
        if place and place[0] in _STAGE_KEYS:
            place = (*self._last_stage(), *place)
        if not place or place[0] in ("name", "profile", "profiles"):
            raise InputError(f"{origin}: '{key}' cannot be set")
        return place

    def _is_next_stage(self, place: Place) -> bool:
        return place == ("stages", len(self.values.get("stages") or ()))

    def _last_stage(self) -> Place:
        return ("stages", len(self.values.get("stages") or [None]) - 1)

    def _refuse_twice(self, place: Place, origin: str) -> None:
        current: Any = self.values
        for part in place:
            known = (dict(enumerate(current)) if isinstance(current, list) else current or {}).get(part)
            if known is None:
                return
            current = known
        raise InputError(
            f"{origin}: the method has '{place[-1]}' already; change it with --set {dotted(place)}.KEY=VALUE"
        )

    def _set(self, place: Place, value: Any, origin: str) -> None:
        current: Any = self.values
        for depth, part in enumerate(place[:-1]):
            current = self._inside(current, part, place[: depth + 1], origin)
        last = place[-1]
        if isinstance(current, list):
            self._inside(current, last, place, origin)
        if value is None and _is_optional_part(place):
            if current.pop(last, None) is None:
                raise InputError(f"{origin}: the method has no {dotted(place)} to leave out")
        else:
            current[last] = value
        self._origin[place] = origin

    def _inside(self, current: Any, part: str | int, place: Place, origin: str) -> Any:
        if isinstance(current, list):
            if not isinstance(part, int) or part >= len(current):
                raise InputError(
                    f"{origin}: there is no {dotted(place)}; {dotted(place[:-1])} has {len(current)} entries"
                )
            return current[part]
        if current.get(part) is None:
            current[part] = {}
        if not isinstance(current[part], dict | list):
            raise InputError(f"{origin}: {dotted(place)} is a value and has nothing inside to set")
        return current[part]


def _is_optional_part(place: Place) -> bool:
    """Whether a regularizer or an averaging stands at a place."""
    return (len(place) == 4 and place[2] == "regularizers") or (len(place) == 2 and place[0] == "averaging")


def _parsed(key: str) -> Place:
    return tuple(int(part) if part.isdecimal() else part for part in str(key).split("."))
