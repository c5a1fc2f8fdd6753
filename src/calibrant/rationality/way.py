"""How answers are to be explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from calibrant.errors import InputError, unknown
from calibrant.rationality.heat_maps import HeatMaps

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import Answers

Target = Literal["label", "prediction"]
NO_PROOF = "A map shows where an explainer points; it is no proof of what the model used."


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

    def refuse_unknown(self) -> None:
        """Refuse an explainer, a parameter or a score that does not exist, before anything is computed."""
        from calibrant.rationality.explainers.registry import explainer
        from calibrant.rationality.explainers.scores import checked_score

        explainer(self.explainer, **self.parameters)
        checked_score(self.score)

    def settings(self, depends: Mapping[str, Any]) -> dict[str, Any]:
        """Give what maps made in this way say of it, besides what the explainer says of itself.

        Args:
            depends: what they depend on besides, such as the weights of the model.

        Returns:
            Settings, as JSON can hold them. An explainer that always reads the same layers says so by itself; these
            say what was asked for.
        """
        asked = {"explainer": self.explainer, "layers": self.layers, "parameters": dict(self.parameters)}
        return {"target": self.target, "score": self.score, **depends, "asked": asked}

    def explain(
        self,
        model: Answers,
        images: Any,
        targets: Any,
        depends: Mapping[str, Any],
        *,
        classes: Sequence[str],
        ids: Sequence[str],
        batch_size: int = 32,
    ) -> HeatMaps:
        """Make the heat maps of images in this way.

        Args:
            model: a tuned model or its zero-shot reference.
            images: N images, uint8 [H, W, 3] each.
            targets: int [N], index into the classes.
            depends: as for `settings`, which the maps carry.
            classes: C names.
            ids: N unique names of the images.
            batch_size: images at a time.

        Returns:
            The maps in the order of the images.

        Raises:
            InputError: as the explainer.
        """
        from calibrant.rationality.explainers.registry import explainer

        made = explainer(self.explainer, **self.parameters).explain(
            model,
            images,
            targets,
            classes=classes,
            ids=ids,
            score=self.score,
            layers=self.layers,
            batch_size=batch_size,
        )
        return HeatMaps(made.maps, made.ids, {**made.settings, **self.settings(depends)})


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
