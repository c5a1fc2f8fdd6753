"""The one attention module of Calibrant, which stands in for PyTorch's in open_clip's own blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SHORT = 256  # tokens


class Attention(nn.Module):
    """Multi-head self-attention whose parameters have the names and shapes of `torch.nn.MultiheadAttention`.

    PyTorch's module turns the batch inside out; with frozen weights under bf16 autocast on a CPU its
    projection then expands the weight for every token. Here the input stays [N, L, W], and query, key and
    value are slices of one product.

    Args:
        source: the module to stand in for, PyTorch's or another one of ours; its parameters are shared, not copied.

    Raises:
        ValueError: if `source` is not plain self-attention.

    Source: Vaswani et al. 2017, "Attention is all you need".

    Example:
        >>> theirs = nn.MultiheadAttention(8, 2, batch_first=True).eval()
        >>> x = torch.ones(1, 3, 8)
        >>> torch.allclose(Attention(theirs)(x, x, x)[0], theirs(x, x, x)[0], atol=1e-6)
        True
    """

    def __init__(self, source: nn.MultiheadAttention | Attention) -> None:
        super().__init__()
        if not isinstance(source, Attention) and not is_plain(source):
            raise ValueError("only self-attention with one fused projection and no dropout can be replaced")
        self.embed_dim: int = source.embed_dim
        self.num_heads: int = source.num_heads
        self.in_proj_weight: nn.Parameter = source.in_proj_weight
        self.in_proj_bias: nn.Parameter | None = source.in_proj_bias
        self.out_proj: nn.Linear = source.out_proj
        self.record: Callable[[Tensor], None] | None = None

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """Attend, called the way open_clip's blocks call `torch.nn.MultiheadAttention`.

        Args:
            query: [N, L, W].
            key: the same tensor or None; this is self-attention.
            value: the same tensor or None.
            need_weights: False, as in open_clip; see `attention_maps` for the weights.
            attn_mask: added to the scores before the softmax, [L, L] or [N * heads, L, L], as PyTorch takes them;
                whatever broadcasts to [N, heads, L, L]; or None.

        Returns:
            The output [N, L, W], and None in the place of the weights.

        Raises:
            ValueError: if asked for cross-attention or for weights.
        """
        if need_weights or any(x is not None and x is not query for x in (key, value)):
            raise ValueError("this is self-attention and keeps its weights to itself; see attention_maps")
        if attn_mask is not None and attn_mask.ndim == 3:
            # CoCa's text tower gives every text a mask of its own, once for every head
            attn_mask = attn_mask.reshape(len(query), self.num_heads, *attn_mask.shape[1:])
        q, k, v = self.projections(query)
        return self.attend(q, k, v, attn_mask), None

    def projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Project tokens to queries, keys and values.

        Args:
            x: [N, L, W].

        Returns:
            Query, key and value, each [N, heads, L, W / heads].
        """
        fused = F.linear(x, self.in_proj_weight, self.in_proj_bias)
        n, length, _ = x.shape
        q, k, v = fused.view(n, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
        return q, k, v

    def attend(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Mix the values by how well the keys answer the queries, and project.

        Args:
            q: queries [N, heads, L, W / heads].
            k: keys [N, heads, K, W / heads].
            v: values, shaped as the keys.
            mask: added to the scores, broadcastable to [N, heads, L, K], or None.

        Returns:
            [N, L, W].
        """
        # under autocast the block hands over a float32 mask beside bf16 queries
        mask = None if mask is None else mask.to(q.dtype)
        if self.record is None and not _kernel_is_slow(q):
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        else:
            scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
            weights = (scores if mask is None else scores + mask).softmax(dim=-1)
            if self.record is not None:
                self.record(weights)
            mixed = weights.to(v.dtype) @ v
        projected: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return projected


def _kernel_is_slow(q: Tensor) -> bool:
    """Say whether plain products beat PyTorch's fused kernel, as they do in its bf16 backward pass on a CPU.

    Plain products keep all weights for the backward pass, so long sequences stay with the kernel.
    """
    on_cpu = q.device.type == "cpu" and q.dtype == torch.bfloat16
    return on_cpu and q.requires_grad and q.shape[-2] <= _SHORT


def is_plain(module: nn.Module) -> bool:
    """Say whether `Attention` computes the same as a module.

    Args:
        module: any module.

    Returns:
        True for a `torch.nn.MultiheadAttention` with one fused projection, batch first, and no extras.

    Example:
        >>> is_plain(nn.MultiheadAttention(8, 2, batch_first=True)), is_plain(nn.Linear(8, 8))
        (True, False)
    """
    return (
        type(module) is nn.MultiheadAttention
        and module.batch_first
        and module.in_proj_weight is not None
        and module.bias_k is None
        and not module.add_zero_attn
        and module.dropout == 0
    )


def replace_attention(network: nn.Module) -> int:
    """Put `Attention` into every self-attention block of open_clip's own make; state dicts do not change.

    Args:
        network: an open_clip model; towers from timm or Hugging Face, ResNets and cross-attention stay.

    Returns:
        How many modules were replaced.
    """
    from open_clip.transformer import ResidualAttentionBlock

    blocks: list[Any] = [module for module in network.modules() if type(module) is ResidualAttentionBlock]
    blocks = [block for block in blocks if not hasattr(block, "ln_1_kv")]  # cross-attention
    plain = [block for block in blocks if is_plain(block.attn)]
    for block in plain:
        block.attn = Attention(block.attn).train(block.attn.training)
    return len(plain)


@contextmanager
def attention_maps(module: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Keep the attention weights of every forward pass made inside the block.

    `encode_text_after_prefix` has no such weights, since its prompts are not whole; give whole prompts here.

    Args:
        module: a model or one of its towers.

    Yields:
        A dict from the name of each `Attention` in `module` to its latest weights [N, heads, L, L]; they are
        part of the graph, so that gradients with respect to them can be asked for.

    Example:
        >>> layer = Attention(nn.MultiheadAttention(8, 2, batch_first=True))
        >>> with attention_maps(layer) as maps:
        ...     _ = layer(torch.ones(1, 3, 8))
        >>> maps[""].shape
        torch.Size([1, 2, 3, 3])
    """
    maps: dict[str, Tensor] = {}
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, Attention)}
    before = {name: layer.record for name, layer in layers.items()}
    for name, layer in layers.items():
        layer.record = partial(maps.__setitem__, name)
    try:
        yield maps
    finally:
        for name, layer in layers.items():
            layer.record = before[name]
