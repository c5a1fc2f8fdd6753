"""What there is: methods, models, data sets, calibrators, metrics and explainers, as rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from calibrant.errors import unknown

Rows = list[dict[str, Any]]


def rows(kind: str) -> Rows:
    """List everything of one kind.

    Args:
        kind: ``"methods"``, ``"models"``, ``"data"``, ``"calibrators"``, ``"metrics"`` or ``"explainers"``.

    Returns:
        One row each.

    Raises:
        InputError: for another kind.
    """
    if kind not in KINDS:
        raise unknown("list", kind, KINDS)
    return KINDS[kind]()


def find(kind: str, name: str) -> dict[str, Any]:
    """Find one thing in its list.

    Args:
        kind: as for `rows`.
        name: its name.

    Returns:
        Its row, without what is empty.

    Raises:
        InputError: for another kind, or if there is nothing of that name.

    Example:
        >>> find("metrics", "accuracy")["better"]
        'high'
    """
    known = {row["name"]: row for row in rows(kind)}
    if name not in known:
        raise unknown(f"entry of list {kind}", name, known)
    return {key: value for key, value in known[name].items() if value not in (None, "", [])}


NOT_RUN = ("CUDA", "MPS", "FSDP", "fp16")
"""What the code has but no machine has run yet."""

NOT_BUILT = (
    {
        "name": "promptkd",
        "title": "PromptKD",
        "about": "It distils a larger tuned model into a smaller one on unlabelled images, which needs both at once.",
    },
)


def _methods() -> Rows:
    from calibrant.tuning.recipe import list_recipes

    built = [{**recipe, "built": True, "not_run": list(NOT_RUN)} for recipe in list_recipes()]
    # the same keys in every row
    nothing: dict[str, Any] = {key: [] if isinstance(value, list) else None for key, value in built[0].items()}
    return [*built, *({**nothing, **row, "built": False} for row in NOT_BUILT)]


def _models() -> Rows:
    from calibrant.models.registry import list_models

    return list_models()


def _data() -> Rows:
    from calibrant.data.registry import list_data

    return list_data()


def _calibrators() -> Rows:
    from calibrant.calibration import CALIBRATORS, LogitCalibrator

    # of one that was made: some promises depend on parameters
    return [
        {
            "name": one.name,
            "what": (one.__doc__ or "").splitlines()[0],
            "kind": "logits" if isinstance(one, LogitCalibrator) else "probabilities",
            "keeps_argmax": one.keeps_argmax,
            "keeps_sample_order": one.keeps_sample_order,
            "needs_labels": one.needs_labels,
            "transfers": one.transfers,
            "reads": list(one.reads),
            "source": one.source,
        }
        for one in (member() for member in CALIBRATORS.values())
    ]


def _metrics() -> Rows:
    from calibrant.metrics.definitions import BETTER, definitions, more_definitions

    some = {name: text.format(positive="the second class") for name, text in more_definitions().items()}
    known = {**definitions(), **some}
    return [{"name": name, "definition": text, "better": BETTER.get(name, "")} for name, text in known.items()]


def _explainers() -> Rows:
    from calibrant.rationality import EXPLAINERS

    return [
        {
            "name": name,
            "what": (member.__doc__ or "").splitlines()[0],
            "explains": member.explains,
            "layers": member.layers_read,
            "parameters": [f"{key}={value}" for key, value in member().parameters().items()],
            "source": member.paper,
        }
        for name, member in EXPLAINERS.items()
    ]


KINDS: dict[str, Callable[[], Rows]] = {
    "methods": _methods,
    "models": _models,
    "data": _data,
    "calibrators": _calibrators,
    "metrics": _metrics,
    "explainers": _explainers,
}
