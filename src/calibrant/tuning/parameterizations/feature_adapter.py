"""A small network behind the image tower (CLIP-Adapter)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.frozen_text import FrozenText
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task


def adapted(features: Tensor, down: Tensor, up: Tensor, ratio: float) -> Tensor:
    """Give a relu(relu(f down') up') + (1 - a) f, of unit norm.

    Without biases this is the same whether f has unit norm or the norm that the image tower gives it.

    Args:
        features: f, [N, D].
        down: [H, D].
        up: [D, H].
        ratio: a, the share of the adapter.

    Returns:
        [N, D], rows of unit norm.

    Source: Gao et al. (2021). CLIP-Adapter: better vision-language models with feature adapters.

    Example:
        >>> adapted(torch.eye(2), torch.ones(1, 2), torch.zeros(2, 1), 0.2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    bottleneck = F.relu(features @ down.T)
    return F.normalize(ratio * F.relu(bottleneck @ up.T) + (1 - ratio) * features, dim=-1)


class FeatureAdapterSettings(Settings):
    """Settings of `FeatureAdapter`.

    Attributes:
        ratio: the share of the adapter in the image features, from 0 to 1.
        reduction: how many times narrower the adapter is than the features.
    """

    ratio: float = Field(default=0.2, ge=0, le=1)
    reduction: PositiveInt = 4


@PARAMETERIZATIONS.register("feature_adapter")
class FeatureAdapter(FrozenText):
    """A bottleneck of two matrices changes the image features of whatever class; the text side stays as it is.

    Both matrices start from random numbers, uniform in +-1/sqrt(columns), so that training does not start from the
    zero-shot model.

    Source: Gao et al. (2021). CLIP-Adapter: better vision-language models with feature adapters.
    """

    Settings: ClassVar[type[Settings]] = FeatureAdapterSettings

    def __init__(
        self, settings: FeatureAdapterSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator
    ) -> None:
        super().__init__(settings, encoder, task, draw)
        self.ratio = settings.ratio
        width, narrow = encoder.embed_dim, encoder.embed_dim // settings.reduction
        if narrow == 0:
            raise InputError(
                f"parameterization.reduction is {settings.reduction}, but {encoder.name} has only {width} features"
            )
        device = encoder.log_logit_scale.device
        self.down = nn.Parameter(uniform(draw, narrow, width).to(device))
        self.up = nn.Parameter(uniform(draw, width, narrow).to(device))

    def trainables(self) -> dict[str, nn.Parameter]:
        return {"adapter.down": self.down, "adapter.up": self.up}

    def adapt(self, features: Tensor) -> Tensor:
        """Send image features through the adapter; see `adapted`."""
        with torch.autocast(features.device.type, enabled=False):
            return adapted(features.float(), self.down, self.up, self.ratio)


def uniform(draw: np.random.Generator, rows: int, columns: int) -> Tensor:
    """Draw a matrix the way a linear layer starts: uniform in +-1/sqrt(columns).

    Args:
        draw: the random numbers.
        rows: its height.
        columns: its width.

    Returns:
        float32 [rows, columns].

    Example:
        >>> matrix = uniform(np.random.default_rng(0), 3, 100)
        >>> matrix.shape, bool(matrix.abs().max() <= 0.1)
        (torch.Size([3, 100]), True)
    """
    bound = columns**-0.5
    return torch.from_numpy(draw.uniform(-bound, bound, (rows, columns))).float()
