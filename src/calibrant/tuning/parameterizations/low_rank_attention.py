"""Our attention with low-rank updates beside its projections (LoRA)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calibrant.models.attention import Attention

Projection = Literal["q", "k", "v", "out"]


class StepDropout:
    """Dropout that acts inside of a training step only, with random numbers of that step.

    Everywhere else it does nothing, whether gradients are asked for or not, and a resumed run draws what the
    uninterrupted one did.

    Args:
        rate: the share of values that are set to zero.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._generator: torch.Generator | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Drop values and scale the others up, so that the mean stays."""
        if self._generator is None or self.rate == 0:
            return x
        kept = torch.rand(x.shape, generator=self._generator, device=x.device) >= self.rate
        return x * kept.to(x.dtype) / (1 - self.rate)

    @contextmanager
    def acting(self, seed: int, device: torch.device) -> Iterator[None]:
        """Act inside the block.

        Args:
            seed: of the random numbers.
            device: where they are drawn.
        """
        self._generator = torch.Generator(device).manual_seed(seed)
        try:
            yield
        finally:
            self._generator = None


class LowRankUpdate(nn.Module):
    """The product scale x up x down, which is added to a weight.

    Args:
        down: [r, W_in].
        up: [W_out, r].
        scale: the factor.
        dropout: of its input.

    Example:
        >>> update = LowRankUpdate(torch.ones(1, 2), torch.ones(3, 1), 0.5, StepDropout(0.0))
        >>> update(torch.ones(4, 2)).shape, update.delta()[0].tolist()
        (torch.Size([4, 3]), [0.5, 0.5])
    """

    def __init__(self, down: Tensor, up: Tensor, scale: float, dropout: StepDropout) -> None:
        super().__init__()
        self.down = nn.Parameter(down)
        self.up = nn.Parameter(up)
        self.scale = scale
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        """Apply the update alone to inputs [..., W_in], giving [..., W_out]."""
        return F.linear(F.linear(self.dropout(x), self.down), self.scale * self.up)

    def delta(self) -> Tensor:
        """Give what is added to the weight, [W_out, W_in]."""
        return torch.matmul(self.scale * self.up, self.down)


class LowRankLinear(nn.Linear):
    """A linear layer plus an update.

    Args:
        base: the layer; its parameters are shared, not copied.
        update: what is added.
    """

    def __init__(self, base: nn.Linear, update: LowRankUpdate) -> None:
        # on the device that holds nothing, since the weights are those of the base
        super().__init__(base.in_features, base.out_features, device="meta")
        self.weight, self.bias = base.weight, base.bias
        self.update = update

    def forward(self, x: Tensor) -> Tensor:
        """Apply layer and update to [..., W_in]."""
        added: Tensor = self.update(x)
        return super().forward(x) + added


class LowRankAttention(Attention):
    """Attention whose projections are W + scale x up x down, in every place that `Attention` is used.

    The weights W keep open_clip's fused form; an update belongs to one of query, key, value and output.

    Args:
        base: the attention; its parameters are shared, not copied.
        updates: by projection; a projection without one stays as it is.

    Source: Hu et al. (2022). LoRA: low-rank adaptation of large language models. ICLR.
    """

    def __init__(self, base: Attention, updates: Mapping[Projection, LowRankUpdate]) -> None:
        super().__init__(base)
        self.updates = nn.ModuleDict({str(name): update for name, update in updates.items() if name != "out"})
        if "out" in updates:
            self.out_proj = LowRankLinear(base.out_proj, updates["out"])

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = super().projections(x)
        return self._updated("q", q, x), self._updated("k", k, x), self._updated("v", v, x)

    def _updated(self, name: str, projected: Tensor, x: Tensor) -> Tensor:
        """Add an update of the tokens [N, L, W], if there is one, to projections [N, heads, L, W / heads]."""
        if name not in self.updates:
            return projected
        update: Tensor = self.updates[name](x)
        return projected + update.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)
