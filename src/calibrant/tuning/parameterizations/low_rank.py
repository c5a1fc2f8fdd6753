"""Low-rank updates of the attention weights (LoRA)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from calibrant.errors import InputError
from calibrant.models.attention import Attention
from calibrant.models.dual_encoder import DualEncoder
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization, with_own
from calibrant.tuning.parameterizations.low_rank_attention import (
    LowRankAttention,
    LowRankUpdate,
    Projection,
    StepDropout,
)
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task

Tower = Literal["image", "text"]
FUSED: tuple[Projection, ...] = ("q", "k", "v")
"""The projections in the order of their rows in ``in_proj_weight``."""


class LowRankSettings(Settings):
    """Settings of `LowRank`.

    Attributes:
        rank: r, of each update.
        alpha: an update is scaled by alpha / r.
        towers: ``"image"``, ``"text"`` or both.
        projections: which of ``"q"``, ``"k"``, ``"v"`` and ``"out"`` are updated, in every block.
        dropout: the share of an update's inputs that are set to zero in training.
    """

    rank: PositiveInt = 2
    alpha: PositiveFloat = 2.0
    towers: tuple[Tower, ...] = Field(default=("image", "text"), min_length=1)
    projections: tuple[Projection, ...] = Field(default=("q", "k", "v"), min_length=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)


@PARAMETERIZATIONS.register("low_rank")
class LowRank(Parameterization):
    """Every attention of the chosen towers gets W + alpha/r up down, of which up and down are trained.

    The weights W are those of the given encoder, shared and not copied. `up` starts at zero, from the zero-shot model.
    `merged` adds the updates to the weights; `calibrant.tuning.adapter_files.save_adapter` writes them for ``peft``.

    Source: Hu et al. (2022). LoRA: low-rank adaptation of large language models. ICLR; Zanella, Ben Ayed (2024).
    Low-rank few-shot adaptation of vision-language models. CVPR workshops.
    """

    Settings: ClassVar[type[Settings]] = LowRankSettings

    def __init__(self, settings: LowRankSettings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> None:
        super().__init__(settings, with_own(encoder, []), task, draw)
        self.settings = settings
        self.trains_image_tower = "image" in settings.towers
        self.text_side = "tuned" if "text" in settings.towers else "zero-shot"
        self._base = (encoder,)  # in a tuple, so that it is no module of ours
        self._dropout = StepDropout(settings.dropout)
        self.updates: dict[str, dict[Projection, LowRankUpdate]] = {}
        for tower in settings.towers:
            layers = self.encoder.attention_layers(tower)
            if not layers:
                raise InputError(f"the {tower} tower of {encoder.name} has no attention that 'low_rank' can update")
            for name, layer in layers:
                updates = {projection: self._update(layer, draw) for projection in settings.projections}
                self.encoder.set_submodule(name, LowRankAttention(layer, updates))
                self.updates[name] = updates

    def _update(self, layer: Attention, draw: np.random.Generator) -> LowRankUpdate:
        width, rank = layer.embed_dim, self.settings.rank
        if rank > width:
            raise InputError(f"parameterization.rank is {rank}, but the attention is only {width} wide")
        bound, device = width**-0.5, layer.in_proj_weight.device
        down = torch.from_numpy(draw.uniform(-bound, bound, (rank, width))).float().to(device)
        return LowRankUpdate(down, torch.zeros(width, rank, device=device), self.settings.alpha / rank, self._dropout)

    def trainables(self) -> dict[str, nn.Parameter]:
        return {
            f"{layer}.{projection}.{matrix}": tensor
            for layer, updates in self.updates.items()
            for projection, update in updates.items()
            for matrix, tensor in update.named_parameters()
        }

    def zero_shot_tensors(self) -> dict[str, Tensor]:
        return {name: torch.zeros_like(tensor) for name, tensor in self.trainables().items()}

    def at_step(self, draw: np.random.Generator) -> AbstractContextManager[None]:
        """Let dropout act in this step."""
        return self._dropout.acting(int(draw.integers(2**62)), self.encoder.log_logit_scale.device)

    @torch.no_grad()
    def merged(self) -> DualEncoder:
        """Add the updates to the weights.

        Returns:
            A dual encoder of the usual make that answers as this one does; what is not updated is shared.
        """
        (base,) = self._base
        changed = {f"{layer}.{weight}" for layer in self.updates for weight in ("in_proj_weight", "out_proj.weight")}
        encoder = with_own(base, [tensor for name, tensor in base.named_parameters() if name in changed])
        for name, updates in self.updates.items():
            layer = encoder.get_submodule(name)
            assert isinstance(layer, Attention)
            blocks: dict[Projection, Tensor] = dict(zip(FUSED, layer.in_proj_weight.chunk(3), strict=True))
            for projection, update in updates.items():
                weight = layer.out_proj.weight if projection == "out" else blocks[projection]
                weight.add_(update.delta())
        return encoder.requires_grad_(False)
