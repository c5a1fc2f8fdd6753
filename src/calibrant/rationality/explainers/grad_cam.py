"""Grad-CAM: channels of the last activations, weighed by how they move the score."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.black_box import scorer
from calibrant.rationality.explainers.inside import gradients, seen
from calibrant.rationality.explainers.readers import reading
from calibrant.rationality.explainers.scores import Score
from calibrant.rationality.explainers.towers import find_tower, patches_of, visual_of
from calibrant.tuning.tuned_model import Answers


class GradCam(Explainer):
    """r_i = relu(sum_c a_c X_ic) with a_c = mean_i ds/dX_ic, where X are the activations of the patches.

    In a transformer X is what the last block normalises first: of its output the score may read the class token alone,
    so that the map would be 0 there. In a convolutional tower X is the output of the last stage.

    Source: Selvaraju et al. (2017). Grad-CAM: visual explanations from deep networks via gradient-based localization.
    ICCV (eq. 1 and 2).

    Example:
        >>> GradCam().name
        'grad-cam'
    """

    name: ClassVar[str] = "grad-cam"
    paper: ClassVar[str] = "Selvaraju et al. 2017"
    explains: ClassVar[bool] = True
    layers_read: ClassVar[str] = "last"

    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        kept: list[Tensor] = []

        def keep(activations: Tensor) -> Tensor:
            kept.append(activations.detach().requires_grad_())
            return kept[-1]

        tower = find_tower(model.encoder)
        with ExitStack() as stack:
            stack.enter_context(seen(last_activations(model.encoder), keep))
            if tower is not None and tower.reader.among_tokens:
                # of the last block nothing but the class token is read
                stack.enter_context(reading(tower.reader))
            scored = scorer(model, classes, score)(pixels, targets)
        (activations,), (slopes,) = kept, gradients(scored, kept)
        if activations.ndim == 4:  # [B, C, h, w]
            return (slopes.mean(dim=(2, 3), keepdim=True) * activations).sum(dim=1).relu()
        patches = patches_of(visual_of(model.encoder))
        assert patches is not None
        weights = patches.of(slopes, pixels).mean(dim=1, keepdim=True)
        return patches.laid_out((weights * activations).sum(dim=-1).relu(), pixels)


def last_activations(encoder: DualEncoder) -> nn.Module:
    """Find the module whose output Grad-CAM weighs.

    Args:
        encoder: the model.

    Returns:
        The first norm of the last block, or the last stage of a convolutional tower.

    Raises:
        InputError: if the tower is of neither kind.
    """
    visual = visual_of(encoder)
    trunk = getattr(visual, "trunk", visual)
    blocks = visual.transformer.resblocks if hasattr(visual, "transformer") else getattr(trunk, "blocks", None)
    candidates = (
        (getattr(trunk, "layer4", None), None),  # ResNets of open_clip and of timm
        (getattr(trunk, "stages", None), -1),  # ConvNeXt and its like
    )
    if patches_of(visual) is not None and blocks:
        norm: nn.Module = blocks[-1].ln_1 if hasattr(blocks[-1], "ln_1") else blocks[-1].norm1
        return norm
    for found, place in candidates:
        if found is not None:
            stage: nn.Module = found if place is None else found[place]
            return stage
    raise InputError(
        f"'grad-cam' knows transformers and convolutional towers of open_clip, and not the image tower of "
        f"'{encoder.name}'; take occlusion or integrated-gradients"
    )
