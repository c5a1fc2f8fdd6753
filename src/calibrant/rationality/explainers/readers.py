"""Who reads the image: the class token in the last block, or the query of a pooler; one row of attention each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.attention import Attention


class Reader(ABC):
    """The attention through which an image feature is read from the tokens; only its first query counts.

    Args:
        module: whose forward pass this is.
    """

    among_tokens: bool
    """Whether the query belongs to a token, which then keeps what it had before."""

    def __init__(self, module: Any) -> None:
        self.module = module

    @abstractmethod
    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project tokens [B, L, W] to the query [B, heads, 1, d], and to keys and values [B, heads, L, d]."""

    @abstractmethod
    def projected(self, taken: Tensor) -> Tensor:
        """Project what heads have taken, side by side [N, 1, W]."""

    def answer(self, x: Tensor, taken: Tensor) -> Tensor:
        """Give what the module hands on after its query has taken [B, 1, W] from the tokens x."""
        return self.alone(self.projected(taken))

    def alone(self, projected: Tensor) -> Tensor:
        """Give it the shape that the module hands on."""
        return projected


class ClassToken(Reader):
    """The class token in the last block of open_clip's own transformer."""

    among_tokens = True

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self._attn = module.attn if isinstance(module.attn, Attention) else Attention(module.attn)

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self._attn.projections(self.module.ln_1(x))
        return q[:, :, :1], k, v

    def projected(self, taken: Tensor) -> Tensor:
        made: Tensor = self._attn.out_proj(taken)
        return made

    def answer(self, x: Tensor, taken: Tensor) -> Tensor:
        block = self.module
        x = x[:, :1] + block.ls_1(self.projected(taken))
        changed: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
        return changed


class QueryPooler(Reader):
    """The first query of open_clip's attentional pooler, as in CoCa."""

    among_tokens = False

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pooler, attn = self.module, self.module.attn
        apart = (attn.q_proj_weight, attn.k_proj_weight, attn.v_proj_weight)
        weights = apart if attn.in_proj_weight is None else attn.in_proj_weight.chunk(3)
        biases = (None,) * 3 if attn.in_proj_bias is None else attn.in_proj_bias.chunk(3)
        tokens = pooler.ln_k(x)
        query = pooler.ln_q(pooler.query[:1]).expand(len(x), -1, -1)
        made = [
            _heads(F.linear(one, weight, bias), attn.num_heads)
            for one, weight, bias in zip((query, tokens, tokens), weights, biases, strict=True)
        ]
        return made[0], made[1], made[2]

    def projected(self, taken: Tensor) -> Tensor:
        made: Tensor = self.module.attn.out_proj(taken)
        return made


class LatentPooler(Reader):
    """The latent query of timm's attention pool, as in SigLIP."""

    among_tokens = False

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        pooler = self.module
        tokens = x if pooler.pos_embed is None else x + pooler.pos_embed
        query = pooler.q(pooler.latent[:, :1].expand(len(x), -1, -1))
        q, k, v = (_heads(part, pooler.num_heads) for part in (query, *pooler.kv(tokens).chunk(2, dim=-1)))
        return pooler.q_norm(q), pooler.k_norm(k), v

    def projected(self, taken: Tensor) -> Tensor:
        pooler = self.module
        made: Tensor = pooler.proj(taken)
        return made if pooler.mlp is None else made + pooler.mlp(pooler.norm(made))

    def alone(self, projected: Tensor) -> Tensor:
        return projected[:, 0]


@dataclass
class Reading:
    """What one forward pass read.

    Attributes:
        query: [B, heads, 1, d].
        keys: [B, heads, L, d].
        values: [B, heads, L, d].
        weights: the attention [B, heads, 1, L]; the graph begins here, if nothing before asks for gradients.
        taken: the weighted values, heads side by side [B, 1, W].
    """

    query: Tensor
    keys: Tensor
    values: Tensor
    weights: Tensor
    taken: Tensor


@contextmanager
def reading(reader: Reader) -> Iterator[list[Reading]]:
    """Compute the attention of a reader for its first query alone, openly.

    Args:
        reader: the reader.

    Yields:
        A list to which every forward pass adds what it read.
    """
    done: list[Reading] = []

    def forward(x: Tensor, *_: Any, **__: Any) -> Tensor:
        q, k, v = reader.projections(x)
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        if not weights.requires_grad:
            weights.requires_grad_()
        taken = side_by_side(weights @ v)
        done.append(Reading(q, k, v, weights, taken))
        return reader.answer(x, taken)

    with in_place_of(reader.module, forward):
        yield done


@contextmanager
def in_place_of(module: nn.Module, forward: Any) -> Iterator[None]:
    """Let a module compute something else for a while."""
    if "forward" in vars(module):
        raise InputError(f"the forward pass of {type(module).__name__} has been replaced already; explain it as it was")
    module.forward = forward
    try:
        yield
    finally:
        del module.forward


def _heads(projected: Tensor, heads: int) -> Tensor:
    """Turn [B, L, heads * d] into [B, heads, L, d]."""
    return projected.view(*projected.shape[:2], heads, -1).transpose(1, 2)


def side_by_side(heads: Tensor) -> Tensor:
    """Turn [B, heads, L, d] into [B, L, heads * d]."""
    return heads.transpose(1, 2).flatten(2)
