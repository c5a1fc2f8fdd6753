"""What there is: methods, models, data sets, calibrators and metrics, as rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calibrant.errors import unknown

Rows = list[dict[str, Any]]


def rows(kind: str) -> Rows:
    """List everything of one kind.

    Args:
        kind: ``"methods"``, ``"models"``, ``"data"``, ``"calibrators"`` or ``"metrics"``.

    Returns:
        One row each.

    Raises:
        InputError: for another kind.
    """
    if kind not in KINDS:
        raise unknown("list", kind, KINDS)
    return KINDS[kind]()


def _methods() -> Rows:
    from calibrant.tuning.recipe import list_recipes

    return [
        {
            "name": recipe["name"],
            "what": recipe["about"],
            "trains": recipe["trains"],
            "new_classes": recipe["works_for_new_classes"],
            "profiles": recipe["profiles"],
            "paper": _paper(recipe["paper"]),
            "verified": recipe["verified"],
        }
        for recipe in list_recipes()
    ]


def _paper(paper: dict[str, Any] | None) -> str:
    return "" if paper is None else f"{paper['authors']}, {paper['title']}, {paper['year']}, {paper['url']}"


def _models() -> Rows:
    from calibrant.models.registry import list_models

    return list_models()


def _data() -> Rows:
    from calibrant.data.registry import list_data

    return list_data()


def _calibrators() -> Rows:
    from calibrant.calibration import CALIBRATORS

    return [
        {
            "name": name,
            "what": (one.__doc__ or "").splitlines()[0],
            "keeps_answers": one.keeps_argmax,
            "for_new_classes": one.transfers,
            "source": one.source,
        }
        for name, one in CALIBRATORS.items()
    ]


def _metrics() -> Rows:
    from calibrant.metrics.definitions import BETTER, definitions

    return [{"name": name, "definition": text, "better": BETTER.get(name, "")} for name, text in definitions().items()]


KINDS: dict[str, Callable[[], Rows]] = {
    "methods": _methods,
    "models": _models,
    "data": _data,
    "calibrators": _calibrators,
    "metrics": _metrics,
}
