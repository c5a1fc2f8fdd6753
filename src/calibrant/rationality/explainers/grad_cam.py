"""Grad-CAM: channels of the last activations, weighed by how they move the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.inside import gradients, on_patches, patches_of, seen_by
from calibrant.rationality.explainers.scores import Score
from calibrant.tuning.tuned_model import Answers


class GradCam(Explainer):
    """r_i = relu(sum_c a_c X_ic) with a_c = mean_i ds/dX_ic, where X are the activations of the patches.

    In a transformer X is what the last block normalises first: of its output the score reads the class token alone, so
    that the map would be 0 there. In a ResNet X is the output of the last stage.

    Source: Selvaraju et al. (2017). Grad-CAM: visual explanations from deep networks via gradient-based localization.
    ICCV (eq. 1 and 2).

    Example:
        >>> GradCam().name
        'grad-cam'
    """

    name: ClassVar[str] = "grad-cam"
    paper: ClassVar[str] = "Selvaraju et al. 2017"
    explains: ClassVar[bool] = True

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        kept: list[Tensor] = []

        def keep(activations: Tensor) -> Tensor:
            kept.append(activations.detach().requires_grad_())
            return kept[-1]

        with seen_by(_last_activations(model.encoder), keep, at="output"):
            scored = scorer(model, classes, score)(pixels, targets)
        (activations,), (slopes,) = kept, gradients(scored, kept)
        if activations.ndim == 4:  # [B, C, h, w]
            weights = slopes.mean(dim=(2, 3), keepdim=True)
            return (weights * activations).sum(dim=1).relu()
        rows, columns = patches_of(model.encoder, pixels)
        weights = slopes[:, 1 : 1 + rows * columns].mean(dim=1, keepdim=True)
        return on_patches((weights * activations).sum(dim=-1).relu(), model.encoder, pixels)


def _last_activations(encoder: DualEncoder) -> nn.Module:
    """Find the module whose output is weighed."""
    visual: Any = getattr(getattr(encoder, "network", None), "visual", None)
    stage: nn.Module | None = getattr(visual, "layer4", None)
    if stage is not None:
        return stage
    blocks = getattr(getattr(visual, "transformer", None), "resblocks", None)
    if not blocks:
        raise InputError(
            f"'grad-cam' knows transformers and ResNets of open_clip, and not the image tower of '{encoder.name}'; "
            "take occlusion or integrated-gradients"
        )
    norm: nn.Module = blocks[-1].ln_1
    return norm
