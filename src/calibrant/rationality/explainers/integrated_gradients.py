"""Integrated gradients: the score's gradient along the way from an empty image to the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor

from calibrant.errors import InputError, require
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import part_of, scorer
from calibrant.rationality.explainers.fillings import Filling, filled
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers


class IntegratedGradients(Explainer):
    """A pixel's relevance is (x - x') times the mean gradient of the score on the way from x' to x, over its channels.

    Relevance adds up to s(x) - s(x'), if the way is cut into enough steps and negative relevance is kept.

    Args:
        steps: points on the way, at the places of Gauss-Legendre quadrature.
        filling: the empty image x', see `filled`.
        signed: keep negative relevance too (pixels that speak against the class), instead of 0.

    Attributes:
        at_once: images in one pass, or as many as the batch has if that is more; it changes no map.

    Raises:
        InputError: if there is not at least one step.
        MissingExtra: on first use, if captum is not installed.

    Source: Sundararajan et al. (2017). Axiomatic attribution for deep networks. ICML (eq. 1).

    Example:
        >>> IntegratedGradients(steps=16).filling
        'mean'
    """

    name: ClassVar[str] = "integrated-gradients"
    paper: ClassVar[str] = "Sundararajan et al. 2017"
    explains: ClassVar[bool] = True
    at_once: int = 32

    def __init__(self, steps: int = 32, filling: Filling = "mean", signed: bool = False) -> None:
        if steps < 1:
            raise InputError(f"integrated gradients need at least one step, not {steps}")
        self.steps = steps
        self.filling = filling
        self.signed = signed

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        attributed: Tensor = (
            require("captum.attr", "explain")
            .IntegratedGradients(scorer(model, classes, score))
            .attribute(
                pixels,
                baselines=filled(pixels, self.filling),
                additional_forward_args=(targets,),
                n_steps=self.steps,
                method="gausslegendre",
                internal_batch_size=max(self.at_once, len(pixels)),
            )
        )
        return part_of(attributed.detach().sum(dim=1), self.signed)
