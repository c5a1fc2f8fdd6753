"""Prompts that begin alike, encoded together: what they share is computed once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from calibrant.models.attention import Attention
from calibrant.models.dual_encoder import BlockEdit
from calibrant.models.open_clip_text import TextTower, edited


@dataclass(frozen=True)
class Row:
    """How all tokens stand in one row: the prefix, then the suffixes, those of equal length side by side.

    All but attention acts token by token and sees the row as a whole, so that nothing is padded. Several prefixes
    give as many rows of the same layout.

    Args:
        prefix: P, the number of prefix tokens.
        lengths: the different lengths of suffixes, rising.
        counts: how many suffixes there are of each length.
        causal: [L, L] with -inf where a token must not look, at least as large as prefix and suffixes.
    """

    prefix: int
    lengths: list[int]
    counts: list[int]
    causal: Tensor

    @property
    def sizes(self) -> list[int]:
        """The tokens of each group of equal length."""
        return [length * count for length, count in zip(self.lengths, self.counts, strict=True)]


def can_share_prefix(tower: TextTower) -> bool:
    """Say whether `encode_after_prefix` gives what the tower itself gives.

    Args:
        tower: the text tower.

    Returns:
        True for a causal tower of open_clip's own blocks with our attention, read at the end of the text.
    """
    return tower.ends_in_text and tower.own_blocks


def encode_after_prefix(
    tower: TextTower, prefix: Tensor, suffixes: Tensor, ids: Tensor, edit: BlockEdit | None = None
) -> Tensor:
    """Encode prompts that begin with the same tokens.

    In a causal tower the prefix does not see what follows, so its keys and values are the same in every prompt.

    Args:
        tower: one that `can_share_prefix`.
        prefix: [P, W], what all prompts begin with, without positions; or [B, P, W], B beginnings.
        suffixes: [N, S, W], how each goes on, without positions.
        ids: int64 [N, S] of the suffixes; they tell where the text ends.
        edit: changes the prefix tokens, [1, P, W] or [B, P, W], before each block.

    Returns:
        [N, D] or [B, N, D], not of unit norm.
    """
    prefixes = prefix if prefix.ndim == 3 else prefix[None]
    lengths, order = (tower.position(ids) + 1).sort(stable=True)
    groups = Counter(lengths.tolist())
    row = Row(prefixes.shape[1], list(groups), list(groups.values()), tower.home.attn_mask)
    before, after = tower.home.positional_embedding[: row.prefix + ids.shape[1]].tensor_split([row.prefix])
    kept = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
    continued = (suffixes[order] + after)[kept]
    x = torch.cat([prefixes + before, continued.expand(len(prefixes), -1, -1)], dim=1)
    *blocks, last = tower.home.transformer.resblocks
    for number, block in enumerate(blocks):
        x = _edit_prefix(edit, number, x, row)
        x = _behind_attention(block, x, _attend(block.attn, block.ln_1(x), row))
    x = _edit_prefix(edit, len(blocks), x, row)
    ends = row.prefix + lengths.cumsum(0) - 1
    tokens = _behind_attention(last, x[:, ends], _attend_at(ends, last.attn, last.ln_1(x), row))
    features = tower.finish(tokens)[:, order.argsort()]
    return features if prefix.ndim == 3 else features[0]


def _edit_prefix(edit: BlockEdit | None, block: int, x: Tensor, row: Row) -> Tensor:
    if edit is None:
        return x
    prefix, rest = x.tensor_split([row.prefix], dim=1)
    return torch.cat([edited(edit, block, prefix), rest], dim=1)


def _behind_attention(block: Any, x: Tensor, attended: Tensor) -> Tensor:
    x = x + block.ls_1(attended)
    y: Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return y


def _attend(attention: Attention, x: Tensor, row: Row) -> Tensor:
    """Attend from every token of the rows [B, T, W]."""
    q, k, v = attention.projections(x)  # [B, heads, T, W / heads]
    q_prefix, k_prefix, v_prefix = (_own(part[:, :, : row.prefix]) for part in (q, k, v))
    prefix = F.scaled_dot_product_attention(q_prefix, k_prefix, v_prefix, is_causal=True)
    mixed = torch.cat([prefix, _mix(q[:, :, row.prefix :], k, v, row, row.lengths)], dim=2)
    projected: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return projected


def _attend_at(ends: Tensor, attention: Attention, x: Tensor, row: Row) -> Tensor:
    """Attend from the last token of every suffix, at `ends` [N] in the rows [B, T, W]."""
    q, k, v = attention.projections(x)
    mixed = _mix(q[:, :, ends], k, v, row, [1] * len(row.lengths))
    projected: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return projected


def _mix(q: Tensor, k: Tensor, v: Tensor, row: Row, asking: list[int]) -> Tensor:
    """Softmax attention of suffix tokens over the whole prefix and, causally, their own suffix.

    Args:
        q: [B, heads, queries, d], from the last `asking` tokens of every suffix.
        k: [B, heads, T, d] of the rows.
        v: [B, heads, T, d] of the rows.
        row: the layout.
        asking: per group.

    Returns:
        [B, heads, queries, d].
    """
    queries = torch.split(q, [count * ask for count, ask in zip(row.counts, asking, strict=True)], dim=2)
    (k_prefix, *keys), (v_prefix, *values) = (torch.split(part, [row.prefix, *row.sizes], dim=2) for part in (k, v))
    k_prefix, v_prefix = _own(k_prefix), _own(v_prefix)
    mixed = []
    for q_own, k_own, v_own, count, length in zip(queries, keys, values, row.counts, row.lengths, strict=True):
        q_each, k_each, v_each = (_own(_each(part, count)) for part in (q_own, k_own, v_own))
        q_each.mul_(q.shape[-1] ** -0.5)
        visible = row.causal[length - q_each.shape[3] : length, :length].to(q.dtype)
        # scores with the prefix are one product for the whole group: its keys need no copies
        on_prefix = _each(q_each.flatten(2, 3) @ k_prefix.mT, count)
        scores = torch.cat([on_prefix, q_each @ k_each.mT + visible], dim=-1)
        weights = scores.softmax(dim=-1).to(v.dtype)
        of_prefix, of_own = weights.tensor_split([row.prefix], dim=-1)
        mixed.append(of_prefix.flatten(2, 3) @ v_prefix + (of_own @ v_each).flatten(2, 3))
    return torch.cat(mixed, dim=2)


def _each(group: Tensor, count: int) -> Tensor:
    """Tell the suffixes of a group apart: [B, heads, count x tokens, d] to [B, heads, count, tokens, d]."""
    return group.view(*group.shape[:2], count, -1, group.shape[-1])


def _own(part: Tensor) -> Tensor:
    """Copy a part, as products would by themselves, so that what they keep for the backward pass is not the whole."""
    return part.clone(memory_format=torch.contiguous_format)
