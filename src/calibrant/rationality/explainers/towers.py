"""The insides of image towers: blocks, who reads the image from them, and where the patches are among the tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.attention import Attention, is_plain
from calibrant.models.dual_encoder import DualEncoder
from calibrant.rationality.explainers.readers import ClassToken, LatentPooler, QueryPooler, Reader

OTHERS = "grad-cam, occlusion or integrated-gradients"


@dataclass(frozen=True)
class Patches:
    """Where the patches are among the tokens.

    Args:
        start: how many tokens stand before them; what a method adds stands behind.
        size: of a patch, rows and columns of pixels.
    """

    start: int
    size: tuple[int, int]

    def grid(self, pixels: Tensor) -> tuple[int, int]:
        """Give the rows and columns of patches of pixels [B, 3, H, W]."""
        return pixels.shape[-2] // self.size[0], pixels.shape[-1] // self.size[1]

    def of(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        """Take the patches [B, P, ...] out of tokens [B, L, ...]."""
        rows, columns = self.grid(pixels)
        return tokens[:, self.start : self.start + rows * columns]

    def laid_out(self, tokens: Tensor, pixels: Tensor) -> Tensor:
        """Lay the values [B, L] of tokens out on the patches, [B, h, w]."""
        return self.of(tokens, pixels).reshape(len(tokens), *self.grid(pixels))


@dataclass(frozen=True)
class Tower:
    """A transformer whose answer is read by one query.

    Args:
        blocks: all of them, first one first.
        reader: who reads the image.
        patches: where they are.
    """

    blocks: list[Any]
    reader: Reader
    patches: Patches

    @property
    def before(self) -> list[Any]:
        """The blocks before the reader, which is the last block or stands behind all of them."""
        return self.blocks[:-1] if self.reader.among_tokens else self.blocks

    def chosen(self, layers: Any) -> tuple[list[Any], bool]:
        """Say which layers of attention are meant; the reader is the last of them.

        Args:
            layers: ``"last"``, ``"all"`` or (first, end), counted from 0.

        Returns:
            Blocks before the reader, and whether the reader is meant too.

        Raises:
            InputError: if there are no such layers.
        """
        numbers, reader = chosen_layers(layers, len(self.before) + 1), len(self.before)
        if not self.reader.among_tokens and reader not in numbers:
            raise InputError(
                f"this image tower is read by a pooler, layer {reader}, and no map leaves it out: "
                f"take layers ({numbers[0]}, {reader + 1})"
            )
        return [self.before[number] for number in numbers if number < reader], reader in numbers


def chosen_layers(layers: Any, count: int) -> range:
    """Say which layers are meant.

    Args:
        layers: ``"last"``, ``"all"`` or (first, end), counted from 0.
        count: how many there are.

    Returns:
        Their numbers.

    Raises:
        InputError: if there are no such layers.

    Example:
        >>> chosen_layers("last", 12), chosen_layers("all", 12), chosen_layers((6, 12), 12)
        (range(11, 12), range(0, 12), range(6, 12))
    """
    if layers in ("last", "all"):
        return range(count - 1 if layers == "last" else 0, count)
    try:
        first, end = (int(one) for one in layers)
    except (TypeError, ValueError):
        raise InputError(f"layers are 'last', 'all' or a range such as (6, 12), not {layers!r}") from None
    if not 0 <= first < end <= count:
        raise InputError(f"layers {first} to {end} are not among the {count} layers of the image tower")
    return range(first, end)


def visual_of(encoder: DualEncoder) -> Any:
    """Give the image tower of an open_clip model, or None."""
    return getattr(getattr(encoder, "network", None), "visual", None)


def patches_of(visual: Any) -> Patches | None:
    """Say where an image tower has its patches; None if it is no transformer over them."""
    if hasattr(visual, "transformer") and hasattr(visual, "patch_size"):
        return Patches(1, tuple(visual.patch_size))
    trunk: Any = getattr(visual, "trunk", None)
    if hasattr(trunk, "blocks") and hasattr(trunk, "patch_embed"):
        return Patches(trunk.num_prefix_tokens, tuple(trunk.patch_embed.patch_size))
    return None


def find_tower(encoder: DualEncoder) -> Tower | None:
    """Find a tower whose attention can be read.

    Args:
        encoder: the model.

    Returns:
        The tower: of open_clip's own make, read at its class token or by its pooler, or of timm's with a latent pooler;
        else None.
    """
    visual = visual_of(encoder)
    patches = patches_of(visual)
    if patches is None:
        return None
    if hasattr(visual, "trunk"):
        blocks: list[Any] = list(visual.trunk.blocks)
        pooler: Any = getattr(visual.trunk, "attn_pool", None)
        known = type(pooler).__name__ == "AttentionPoolLatent" and pooler.pool == "token"
        # else the pooler would count its tokens otherwise than the blocks
        alike = patches.start == 0 or visual.trunk.pool_include_prefix
        return Tower(blocks, LatentPooler(pooler), patches) if known and alike else None
    blocks = list(visual.transformer.resblocks)
    if visual.pool_type != "tok" or not all(_readable(block) for block in blocks):
        return None
    if visual.attn_pool is None:
        return Tower(blocks, ClassToken(blocks[-1]), patches)
    # the pooler with a second one behind it gives features of another shape
    return Tower(blocks, QueryPooler(visual.attn_pool), patches) if visual.attn_pool_contrastive is None else None


def _readable(block: Any) -> bool:
    return all(hasattr(block, part) for part in ("ls_1", "ls_2")) and (
        isinstance(block.attn, Attention) or is_plain(block.attn)
    )


def tower_of(encoder: DualEncoder, explainer: str) -> Tower:
    """Find a tower whose attention can be read, or say what works without.

    Args:
        encoder: the model.
        explainer: who asks, for the error.

    Returns:
        The tower.

    Raises:
        InputError: if there is none.
    """
    tower = find_tower(encoder)
    if tower is None:
        raise InputError(
            f"'{explainer}' reads attention, which the image tower of '{encoder.name}' does not show; take {OTHERS}"
        )
    return tower
