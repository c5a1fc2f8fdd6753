"""The forward pass of open_clip's own text tower, for prompts of any length or given as embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from calibrant.models.attention import Attention
from calibrant.models.dual_encoder import BlockEdit


@dataclass(frozen=True)
class TextTower:
    """Where the parts of an open_clip text tower are, whether the model keeps them flat or under ``.text``.

    A causal tower that reads its answer at the end-of-text token never looks at what follows, so the padding
    behind the longest prompt can be left out; open_clip's own forward adds all 77 positions and cannot do
    that.

    Args:
        home: the module that holds token_embedding, positional_embedding, transformer, ln_final and
            text_projection.
        pool: how open_clip pools: ``"argmax"``, ``"eos"``, ``"first"`` or ``"last"``.
        end_id: the end-of-text token that ``"eos"`` looks for.
    """

    home: Any
    pool: str
    end_id: int

    @property
    def width(self) -> int:
        """Width of a token embedding."""
        return int(self.home.token_embedding.weight.shape[1])

    @property
    def layers(self) -> int:
        """The number of blocks."""
        return len(self.home.transformer.resblocks)

    @property
    def own_blocks(self) -> bool:
        """Whether all blocks are plain ones of open_clip with our attention."""
        from open_clip.transformer import ResidualAttentionBlock

        blocks = self.home.transformer.resblocks
        return all(type(block) is ResidualAttentionBlock and isinstance(block.attn, Attention) for block in blocks)

    @property
    def causal(self) -> bool:
        """Whether a token sees only those before it."""
        return self.home.attn_mask is not None

    @property
    def ends_in_text(self) -> bool:
        """Whether the answer depends on nothing behind the end of the text."""
        return self.causal and self.pool in ("argmax", "eos")

    @property
    def projection(self) -> Tensor | None:
        """The last matrix, [width, D], or None."""
        last = self.home.text_projection
        if last is None:
            return None
        matrix: Tensor = last.weight.T if isinstance(last, nn.Linear) else last
        return matrix

    def embed(self, ids: Tensor) -> Tensor:
        """Look up token embeddings [N, L, W] of ids [N, L]."""
        embedded: Tensor = self.home.token_embedding(ids)
        return embedded

    def __call__(self, embeddings: Tensor, ids: Tensor, edit: BlockEdit | None = None) -> Tensor:
        """Encode embeddings [N, L, W] of ids [N, L] to [N, D], not yet of unit norm; edits need `own_blocks`."""
        length = embeddings.shape[1]
        mask = self.home.attn_mask
        x = embeddings + self.home.positional_embedding[:length]
        mask = None if mask is None else mask[:length, :length]
        return self.finish(self._read(x, mask, self.position(ids), edit))

    def finish(self, tokens: Tensor) -> Tensor:
        """Turn the tokens [N, W] at which the answers are read into features [N, D], not yet of unit norm."""
        # the final norm acts token by token, so no other token needs it
        features: Tensor = self.home.ln_final(tokens)
        last = self.home.text_projection
        if last is None:
            return features
        projected: Tensor = last(features) if isinstance(last, nn.Linear) else features @ last
        return projected

    def _read(self, x: Tensor, mask: Tensor | None, position: Tensor, edit: BlockEdit | None) -> Tensor:
        """Run the blocks on [N, L, W] and give the tokens at `position` [N]; the last block computes no others."""
        transformer, rows = self.home.transformer, torch.arange(len(x), device=x.device)
        last = transformer.resblocks[-1]
        if edit is None and (not self.own_blocks or transformer.grad_checkpointing):
            read: Tensor = transformer(x, attn_mask=mask)[rows, position]
            return read
        for number, block in enumerate(transformer.resblocks[:-1]):
            x = block(edited(edit, number, x), attn_mask=mask)
        x = edited(edit, self.layers - 1, x)
        q, k, v = last.attn.projections(last.ln_1(x))
        seen = None if mask is None else mask[position][:, None, None]
        attended = last.attn.attend(q[rows, :, position].unsqueeze(2), k, v, seen).squeeze(1)
        token: Tensor = x[rows, position] + last.ls_1(attended)
        token = token + last.ls_2(last.mlp(last.ln_2(token)))
        return token

    def position(self, ids: Tensor) -> Tensor:
        """Find the token of each row of ids [N, L] at which the answer is read."""
        if self.pool == "argmax":  # the end-of-text token has the highest number
            return ids.argmax(dim=-1)
        if self.pool == "eos":
            return (ids == self.end_id).int().argmax(dim=-1)
        return torch.full((len(ids),), 0 if self.pool == "first" else ids.shape[1] - 1, device=ids.device)


def edited(edit: BlockEdit | None, block: int, tokens: Tensor) -> Tensor:
    """Apply an edit, if there is one, to tokens whose number must stay.

    Args:
        edit: the edit.
        block: the number of the block that reads the tokens next.
        tokens: [N, L, W].

    Returns:
        [N, L, W].

    Raises:
        ValueError: if the edit changed the shape.
    """
    if edit is None:
        return tokens
    changed = edit(block, tokens)
    if changed.shape != tokens.shape:
        raise ValueError(f"an edit made text tokens {list(changed.shape)} of {list(tokens.shape)}")
    return changed


def find_text_tower(network: Any) -> TextTower | None:
    """Find the text tower of an open_clip model.

    Args:
        network: the model.

    Returns:
        The tower, or None if it is of another make (Hugging Face, CoCa) or masks its padding.
    """
    from open_clip.model import CLIP
    from open_clip.transformer import TextTransformer

    if type(network) is CLIP:
        return TextTower(network, network.text_pool_type, network.text_eos_id)
    text: Any = getattr(network, "text", None)
    if type(text) is not TextTransformer or text.cls_emb is not None or text.use_pad_mask or text.pool_type == "none":
        return None
    return TextTower(text, text.pool_type, text.eos_id)
