"""Whether a half-written run may go on: everything that changes its result must be as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from calibrant.errors import InputError

# place in run.json to what a user calls it; values of the first group are shown, fingerprints are not
_SHOWN = {
    "method": "method",
    "data.name": "data set",
    "shots": "number of shots",
    "data_seed": "data seed",
    "train_seed": "training seed",
    "classes": "class list",
    "templates": "template",
    "words": "choice of words",
}
_FINGERPRINTS = {
    "model.fingerprint": "model",
    "data.fingerprints.train": "set of training images",
    "data.fingerprints.validation": "set of validation images",
    "data.fingerprints.test": "set of test images",
}


class AnotherRun(InputError):
    """A run was to be resumed that was begun with something else."""


def check_same(
    began: tuple[Mapping[str, Any], Mapping[str, Any]], now: tuple[Mapping[str, Any], Mapping[str, Any]], run: str
) -> None:
    """Check that a run would come out the same.

    Args:
        began: record and recipe of the run.
        now: record and recipe that it is to be resumed with.
        run: its folder, for the message.

    Raises:
        AnotherRun: naming everything that is different.

    Example:
        >>> check_same(({"shots": 16}, {}), ({"shots": 8}, {}), "runs/a")
        Traceback (most recent call last):
        calibrant.runs.resuming.AnotherRun: runs/a was begun with another number of shots (16, now 8)
    """
    found = [*_in_record(*(_flat(one[0]) for one in (began, now)))]
    if began[0].get("method") == now[0].get("method"):
        found += _in_recipe(began[1], now[1])
    if found:
        raise AnotherRun(f"{run} was begun with another {', another '.join(found)}")


def _in_record(began: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    explained = False
    for place, what in _SHOWN.items():
        before, after = began.get(place), now.get(place)
        if before != after:
            explained |= place in ("data.name", "shots", "data_seed", "classes")
            yield what + _change(before, after)
    for place, what in _FINGERPRINTS.items():
        # other classes or shots are other images: once said is enough
        if began.get(place) != now.get(place) and not (explained and place.startswith("data.")):
            yield what


_TUNES = ("stages.", "averaging.")
"""Where a recipe says what is done; the rest of it is prose."""


def _in_recipe(began: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    before, after = _flat(began), _flat(now)
    for place in sorted({*before, *after}):
        if before.get(place) != after.get(place) and place.startswith(_TUNES):
            yield f"{place.removeprefix('stages.0.')}{_change(before.get(place), after.get(place))}"


def _change(before: Any, now: Any) -> str:
    """Show two values, or of two lists the first place where they differ."""
    if isinstance(before, list) and isinstance(now, list):
        pairs = zip([*before, *[None] * len(now)], [*now, *[None] * len(before)], strict=True)
        before, now = next((one, other) for one, other in pairs if one != other)
    if isinstance(before, Mapping) or isinstance(now, Mapping):
        return ""
    return f" ({'none' if before is None else before}, now {'none' if now is None else now})"


def _flat(value: Mapping[str, Any], around: str = "") -> dict[str, Any]:
    """Bring nested values to one level, under dotted places; the words stay together, for their keys hold dots."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, list) and item and all(isinstance(one, Mapping) for one in item):
            item = {str(number): one for number, one in enumerate(item)}
        if isinstance(item, Mapping) and item and key != "words":
            flat |= _flat(item, f"{around}{key}.")
        else:
            flat[f"{around}{key}"] = item
    return flat
