"""Gaussian prompt aggregation: the trained tensors of several moments of training, weighted by a Gaussian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from calibrant.tuning.averaging.base import Averaging
from calibrant.tuning.components import AVERAGINGS
from calibrant.tuning.settings import Settings

if TYPE_CHECKING:
    from calibrant.tuning.tuned_model import TunedModel


def gaussian_weights(parts: int, mean: float, deviation: float) -> Tensor:
    """Give the density of a normal distribution at 1, 2, ..., K, scaled so that it sums to 1.

    Args:
        parts: K, how many moments there are.
        mean: of the distribution, in parts.
        deviation: its standard deviation, in parts.

    Returns:
        float64 [K].

    Source: Khattak et al. (2023). Self-regulating prompts: foundational model adaptation without forgetting. ICCV.

    Example:
        >>> gaussian_weights(3, mean=2, deviation=1e-3).tolist()
        [0.0, 1.0, 0.0]
    """
    moments = torch.arange(1, parts + 1, dtype=torch.float64)
    # the softmax of log densities; dividing densities would be 0 / 0 far from the mean
    return torch.softmax(-((moments - mean) ** 2) / (2 * deviation**2), dim=0)


@torch.no_grad()
def gaussian_prompt_aggregation(
    moments: Sequence[Mapping[str, Tensor]], mean: float, deviation: float
) -> dict[str, Tensor]:
    """Give the weighted sum of K sets of tensors, see `gaussian_weights`.

    Args:
        moments: tensors by name, in the order of training; all of the same names and shapes.
        mean: of the distribution, in moments, counted from 1.
        deviation: its standard deviation, in moments.

    Returns:
        New tensors by name.

    Source: Khattak et al. (2023). Self-regulating prompts: foundational model adaptation without forgetting. ICCV.

    Example:
        >>> moments = [{"w": torch.zeros(1)}, {"w": torch.ones(1)}]
        >>> gaussian_prompt_aggregation(moments, mean=1.5, deviation=1.0)["w"].item()
        0.5
    """
    weights = gaussian_weights(len(moments), mean, deviation).tolist()
    return {
        name: torch.stack([weight * one[name] for weight, one in zip(weights, moments, strict=True)]).sum(dim=0)
        for name in moments[0]
    }


class GaussianPromptAggregationSettings(Settings):
    """Settings of `GaussianPromptAggregation`; the values are the published ones for 20 epochs.

    Attributes:
        parts: how many equal parts the run has; they stand for the epochs of the paper.
        mean: of the Gaussian, in parts.
        deviation: its standard deviation, in parts.
    """

    parts: int = Field(default=20, ge=1)
    mean: float = 15.0
    deviation: float = Field(default=1.0, gt=0)


@AVERAGINGS.register("gaussian_prompt_aggregation")
class GaussianPromptAggregation(Averaging):
    """The tuned model is the Gaussian-weighted sum of the trained tensors at the end of each part of the run."""

    Settings: ClassVar[type[Settings]] = GaussianPromptAggregationSettings
    settings: GaussianPromptAggregationSettings

    def __init__(self, settings: GaussianPromptAggregationSettings, model: TunedModel) -> None:
        super().__init__(settings, model)
        self.weights = gaussian_weights(settings.parts, settings.mean, settings.deviation).tolist()
        trained = model.parameterization.trainables()
        self.sum = {name: torch.zeros_like(tensor, requires_grad=False) for name, tensor in trained.items()}
        self.steps = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def after_step(self, step: int, total: int) -> None:
        parts = self.settings.parts
        # part k ends with the first step that is not before k/K of the run; in a short run several end with one step
        ended = sum(weight for k, weight in enumerate(self.weights, start=1) if -(-k * total // parts) == step)
        if ended:
            for name, tensor in self.model.parameterization.trainables().items():
                self.sum[name].add_(tensor.detach(), alpha=ended)
        self.steps.fill_(step)

    def finish(self) -> None:
        if int(self.steps):
            self.model.load_tensors(self.sum)

    def state(self) -> dict[str, Tensor]:
        return {**{f"sum.{name}": tensor for name, tensor in self.sum.items()}, "steps": self.steps}
