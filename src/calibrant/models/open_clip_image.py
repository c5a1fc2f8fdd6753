"""The forward pass of open_clip's own vision transformer, for tokens that are changed between its blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from calibrant.models.dual_encoder import BlockEdit


@dataclass(frozen=True)
class ImageTower:
    """Where the parts of an open_clip vision transformer are.

    Args:
        home: the module that holds conv1, class_embedding, positional_embedding, patch_dropout, ln_pre, transformer,
            ln_post and proj; its answer is read at the class token.
    """

    home: Any

    @property
    def width(self) -> int:
        """Width of a token."""
        return int(self.home.class_embedding.shape[0])

    @property
    def layers(self) -> int:
        """The number of blocks."""
        return len(self.home.transformer.resblocks)

    def __call__(self, pixels: Tensor, edit: BlockEdit) -> Tensor:
        """Encode pixels [N, 3, H, W] to [N, D], not yet of unit norm; block 0 is edited before the first norm."""
        home = self.home
        patches = home.conv1(pixels).flatten(2).transpose(1, 2)
        class_token = home.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        x = torch.cat([class_token, patches], dim=1) + home.positional_embedding.to(patches.dtype)
        x = home.patch_dropout(x)  # only in training mode, in which no encoder is
        for number, block in enumerate(home.transformer.resblocks):
            x = edit(number, x)
            x = block(home.ln_pre(x) if number == 0 else x)
        features: Tensor = home.ln_post(x)[:, 0]
        return features if home.proj is None else features @ home.proj


def find_image_tower(network: Any) -> ImageTower | None:
    """Find the image tower of an open_clip model.

    Args:
        network: the model.

    Returns:
        The tower, or None if it is of another make (ResNet, timm) or pools its patches.
    """
    from open_clip.transformer import VisionTransformer

    visual: Any = network.visual
    if type(visual) is not VisionTransformer or visual.attn_pool is not None or visual.pool_type != "tok":
        return None
    return None if visual.output_tokens else ImageTower(visual)
