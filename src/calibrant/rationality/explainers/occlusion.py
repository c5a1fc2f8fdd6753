"""Occlusion: how much the score falls when a window of the image is covered."""

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

_WINDOWS = 7  # side by side, by default: 32 pixels of 224


class Occlusion(Explainer):
    """A pixel's relevance is the mean of s(x) - s(x with the window covered) over the windows that hold the pixel.

    It asks the model itself and nothing of its inside, so it suits every architecture and checks the faster explainers.
    It costs a forward pass for every place of the window.

    Args:
        window: its side in pixels; by default a seventh of the image's side.
        stride: from one place to the next, in pixels, at most the window; by default half of it.
        filling: what covers, see `filled`.
        signed: keep negative relevance too (places that speak against the class), instead of 0.

    Attributes:
        at_once: images in one forward pass, or as many as the batch has if that is more; it changes no map.

    Raises:
        InputError: if window or stride are below 1, or the stride is longer than the window.
        MissingExtra: on first use, if captum is not installed.

    Source: Zeiler and Fergus (2014). Visualizing and understanding convolutional networks. ECCV.

    Example:
        >>> Occlusion(window=32, stride=16).filling
        'mean'
    """

    name: ClassVar[str] = "occlusion"
    paper: ClassVar[str] = "Zeiler and Fergus 2014"
    explains: ClassVar[bool] = True
    at_once: int = 256

    def __init__(
        self,
        window: int | None = None,
        stride: int | None = None,
        filling: Filling = "mean",
        signed: bool = False,
    ) -> None:
        if min(1 if side is None else side for side in (window, stride)) < 1:
            raise InputError(f"window and stride must be at least 1 pixel, not {window} and {stride}")
        if window and stride and stride > window:
            raise InputError(f"with a stride of {stride} pixels, windows of {window} leave pixels uncovered")
        self.window = window
        self.stride = stride
        self.filling = filling
        self.signed = signed

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        window, stride = self._window_on(min(pixels.shape[-2:]))
        attributed: Tensor = (
            require("captum.attr", "explain")
            .Occlusion(scorer(model, classes, score))
            .attribute(
                pixels,
                sliding_window_shapes=(pixels.shape[1], window, window),
                strides=(pixels.shape[1], stride, stride),
                baselines=filled(pixels, self.filling),
                additional_forward_args=(targets,),
                perturbations_per_eval=max(1, self.at_once // len(pixels)),
            )
        )
        # all channels of a pixel are covered together and get the same value
        return part_of(attributed[:, 0], self.signed)

    def _window_on(self, side: int) -> tuple[int, int]:
        """Give window and stride for images whose shorter side is so long, both in pixels."""
        window = self.window or max(1, round(side / _WINDOWS))
        stride = self.stride or max(1, window // 2)
        if not stride <= window <= side:
            raise InputError(f"a window of {window} pixels, moved by {stride}, does not suit images of {side} pixels")
        return window, stride
