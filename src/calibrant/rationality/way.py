"""How answers are to be explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from calibrant.errors import InputError, unknown

Target = Literal["label", "prediction"]


@dataclass(frozen=True)
class Way:
    """How answers are explained.

    Args:
        explainer: its name.
        parameters: of the explainer.
        target: what each map explains: ``"label"``, as measures in papers do, or ``"prediction"``, which is all that is
            known in use.
        score: see `calibrant.rationality.explainers.scores`; the logit with which the model itself answers exists for
            every method.
        layers: which attention layers are read: ``"last"``, ``"all"`` or a range (first, end).

    Raises:
        InputError: if the target is none.

    Example:
        >>> Way().name, Way("grad-cam", target="prediction").name
        ('attention-gradient', 'grad-cam.prediction')
    """

    explainer: str = "attention-gradient"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    target: Target = "label"
    score: str = "head"
    layers: Any = "last"

    def __post_init__(self) -> None:
        if self.target not in get_args(Target):
            raise unknown("target", self.target, get_args(Target))

    @property
    def name(self) -> str:
        """What its files are called."""
        return self.explainer if self.target == "label" else f"{self.explainer}.{self.target}"


def read_layers(text: str) -> str | tuple[int, int]:
    """Read which layers are meant.

    Args:
        text: ``"last"``, ``"all"`` or a range of blocks, the end not included.

    Returns:
        As explainers take it.

    Raises:
        InputError: if it is none of these.

    Example:
        >>> read_layers("last"), read_layers("8,12")
        ('last', (8, 12))
    """
    if text in ("last", "all"):
        return text
    first, comma, end = text.partition(",")
    if not (comma and first.strip().isdigit() and end.strip().isdigit()):
        raise InputError(f"--layers takes last, all or FIRST,END, not '{text}'")
    return int(first), int(end)
