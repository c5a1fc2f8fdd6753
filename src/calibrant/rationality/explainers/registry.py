"""The explainers by name."""

from __future__ import annotations

from typing import Any

from calibrant.errors import InputError, unknown
from calibrant.rationality.explainers.attention_gradient import AttentionGradient
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.explainers.centre import Centre
from calibrant.rationality.explainers.clip_surgery import ClipSurgery
from calibrant.rationality.explainers.grad_cam import GradCam
from calibrant.rationality.explainers.grad_eclip import GradEclip
from calibrant.rationality.explainers.integrated_gradients import IntegratedGradients
from calibrant.rationality.explainers.legrad import LeGrad
from calibrant.rationality.explainers.mask_clip import MaskClip
from calibrant.rationality.explainers.occlusion import Occlusion
from calibrant.rationality.explainers.rise import Rise
from calibrant.rationality.explainers.rollout import Rollout
from calibrant.rationality.explainers.uniform import Uniform

EXPLAINERS: dict[str, type[Explainer]] = {
    member.name: member
    for member in (
        AttentionGradient,
        GradEclip,
        GradCam,
        LeGrad,
        Rollout,
        MaskClip,
        ClipSurgery,
        Occlusion,
        IntegratedGradients,
        Rise,
        Uniform,
        Centre,
    )
}


def explainer(name: str, **parameters: Any) -> Explainer:
    """Make an explainer by its name.

    Args:
        name: such as ``"attention-gradient"``.
        parameters: of its constructor.

    Returns:
        The explainer.

    Raises:
        InputError: if the name or a parameter does not exist.

    Example:
        >>> explainer("occlusion", window=16).name
        'occlusion'
    """
    if name not in EXPLAINERS:
        raise unknown("explainer", name, EXPLAINERS)
    try:
        return EXPLAINERS[name](**parameters)
    except TypeError as error:
        raise InputError(f"explainer '{name}': {error}") from error
