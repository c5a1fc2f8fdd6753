"""The one interface through which Calibrant sees a vision-language model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from calibrant.models.attention import Attention
from calibrant.models.preprocessing import Augmentation, Pixels, Preprocessing
from calibrant.storage import digest

BlockEdit = Callable[[int, Tensor], Tensor]
"""(number of a block from 0, tokens [N, L, W]) -> tokens; called before that block, as deep prompts need it."""


class DualEncoder(nn.Module, ABC):
    """An image tower and a text tower with one embedding space and a logit scale.

    Attributes:
        name: what `load_model` was asked for.
        preprocessing: what the image tower expects of an image.
        embed_dim: D, the dimension of the embedding space.
        text_width: W, the width of a token embedding.
        image_width: the width of a token in the image tower; 0 where its blocks cannot be edited.
        image_layers: the number of its blocks; 0 where they cannot be edited.
        text_layers: the number of blocks of the text tower; 0 where they cannot be edited.
        context_length: the longest prompt in tokens, start and end included.
        causal_text: whether a token sees only those before it.
        capabilities: what this make of model can do: ``"text_embeddings"`` (prompts given as embeddings),
            ``"padding_cut"`` (prompts shorter than the context length), ``"shared_prefix"`` (what prompts
            begin with is encoded once, see `encode_text_after_prefix`), ``"attention_maps"`` (the weights
            inside the image tower, see `attention.attention_maps`), ``"block_edits"`` (tokens of both towers
            can be changed between their blocks, see `BlockEdit`).
        about: source, licence, limits, architecture, quick_gelu, pretrained tag; what JSON can hold.
    """

    name: str
    preprocessing: Preprocessing
    embed_dim: int
    text_width: int
    image_width: int
    image_layers: int
    text_layers: int
    context_length: int
    causal_text: bool
    capabilities: frozenset[str]
    about: Mapping[str, Any]

    @property
    def image_size(self) -> int:
        """Height of the images that the model reads, in pixels."""
        return self.preprocessing.size[0]

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Turn prompts into token ids.

        Args:
            texts: N prompts.

        Returns:
            int64 [N, L]; with the capability ``"padding_cut"`` L is the length of the longest prompt here,
            otherwise the context length.

        Raises:
            InputError: if a prompt is longer than the context length, naming it.
        """

    @abstractmethod
    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Count the tokens of prompts, those of start and end among them; padding does not count.

        Args:
            texts: N prompts; they may be longer than the context length.

        Returns:
            N numbers.
        """

    @abstractmethod
    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Look up token embeddings.

        Args:
            ids: int64 [N, L].

        Returns:
            [N, L, W], without positions.

        Raises:
            InputError: if the model lacks the capability ``"text_embeddings"``.
        """

    @abstractmethod
    def embed_image(self, pixels: Tensor) -> Tensor:
        """Encode images, and leave the norms as they come.

        Args:
            pixels: float [N, 3, H, W], as the transforms give them.

        Returns:
            float32 [N, D]; scaled to unit norm they are what `encode_image` gives.
        """

    @abstractmethod
    def encode_image(self, pixels: Tensor, edit: BlockEdit | None = None) -> Tensor:
        """Encode images.

        Args:
            pixels: float [N, 3, H, W], as the transforms give them.
            edit: changes the tokens [N, 1 + patches, width] before each block, class token first; it may add
                tokens behind. For block 0 it acts before the norm that precedes the blocks.

        Returns:
            float32 [N, D], rows of unit norm.

        Raises:
            InputError: if there is an edit and `image_layers` is 0.
        """

    @abstractmethod
    def encode_text(self, ids: Tensor) -> Tensor:
        """Encode prompts.

        Args:
            ids: int64 [N, L], as `tokenize` gives them.

        Returns:
            float32 [N, D], rows of unit norm.
        """

    @abstractmethod
    def encode_text_embeddings(self, embeddings: Tensor, ids: Tensor, edit: BlockEdit | None = None) -> Tensor:
        """Encode prompts that are given as token embeddings, as prompt learning does.

        Args:
            embeddings: [N, L, W], without positions.
            ids: int64 [N, L]; they tell where the text ends.
            edit: changes the tokens [N, L, W] before each block, positions included; their number stays.

        Returns:
            float32 [N, D], rows of unit norm.

        Raises:
            InputError: if the model lacks the capability ``"text_embeddings"``, or there is an edit and
                `text_layers` is 0.
        """

    @abstractmethod
    def encode_text_after_prefix(
        self, prefix: Tensor, embeddings: Tensor, ids: Tensor, edit: BlockEdit | None = None
    ) -> Tensor:
        """Encode prompts that begin with the same tokens; exact, and fast where the prefix is long.

        Args:
            prefix: [P, W], token embeddings of the beginning (start token included), without positions; or
                [B, P, W], B beginnings that each meet all N continuations.
            embeddings: [N, S, W], how each prompt goes on, without positions.
            ids: int64 [N, S] of how it goes on; they tell where the text ends.
            edit: changes the tokens of the prefix, [1, P, W] or [B, P, W], before each block, positions
                included; their number stays.

        Returns:
            float32 [N, D] or [B, N, D], rows of unit norm.

        Raises:
            InputError: if the model lacks the capability ``"shared_prefix"``.
        """

    @property
    @abstractmethod
    def log_logit_scale(self) -> nn.Parameter:
        """The trained logarithm of the logit scale."""

    @property
    @abstractmethod
    def logit_bias(self) -> Tensor | None:
        """What is added to every logit (SigLIP), or None."""

    @property
    @abstractmethod
    def image_projection(self) -> Tensor | None:
        """The last matrix of the image tower, [width, D], or None where the tower does not end in one."""

    @property
    @abstractmethod
    def text_projection(self) -> Tensor | None:
        """The last matrix of the text tower, [W, D], or None where the tower does not end in one."""

    @abstractmethod
    def image_tower_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Give the parameters of the image tower.

        Yields:
            Name, as in `named_parameters`, and parameter.
        """

    @abstractmethod
    def text_tower_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Give the parameters of the text tower, token embedding and projection included.

        Yields:
            Name, as in `named_parameters`, and parameter.
        """

    @abstractmethod
    def image_tower_state(self) -> Mapping[str, Tensor]:
        """Give every tensor that image features depend on, buffers included.

        Returns:
            Name and tensor.
        """

    def attention_layers(self, tower: Literal["image", "text"]) -> list[tuple[str, Attention]]:
        """List the attention modules of one tower.

        Args:
            tower: which one.

        Returns:
            Name, as its parameters begin in `named_parameters`, and module, from the first block to the last;
            none where the tower does not use our attention.
        """
        tensors = self.image_tower_parameters() if tower == "image" else self.text_tower_parameters()
        own = {id(parameter) for _, parameter in tensors}
        layers = ((name, module) for name, module in self.named_modules() if isinstance(module, Attention))
        return [(name, layer) for name, layer in layers if id(layer.in_proj_weight) in own]

    @property
    def logit_scale(self) -> Tensor:
        """The factor from cosine to logit, a scalar tensor."""
        return self.log_logit_scale.exp().reshape(())

    def test_transform(self, image: Pixels) -> Tensor:
        """Prepare an image for prediction.

        Args:
            image: uint8 [H, W, 3].

        Returns:
            float32 [3, S, S].

        Raises:
            InputError: if the image is not uint8 [H, W, 3].
        """
        return self.preprocessing.test(image)

    def train_transform(
        self, image: Pixels, draw: np.random.Generator, augmentation: Augmentation | None = None
    ) -> Tensor:
        """Prepare an image for training; nothing but the arguments decides the outcome.

        Args:
            image: uint8 [H, W, 3].
            draw: the random numbers, see `preprocessing.draws`.
            augmentation: what may be drawn; by default a crop of at least nine tenths of the image.

        Returns:
            float32 [3, S, S].

        Raises:
            InputError: if the image is not uint8 [H, W, 3].
        """
        return self.preprocessing.train(image, draw, augmentation or Augmentation())

    def fingerprint(self) -> str:
        """Name the content of the model: all weights, the architecture and the preprocessing.

        Returns:
            64 hexadecimal characters; computed anew at each call, so that a changed weight is always noticed.
        """
        return self._fingerprint(self.state_dict())

    def image_fingerprint(self) -> str:
        """Name the content of the image side, on which image features depend.

        Returns:
            64 hexadecimal characters that change with the image tower or the preprocessing, not with the
            text.
        """
        return self._fingerprint(self.image_tower_state())

    def _fingerprint(self, tensors: Mapping[str, Tensor]) -> str:
        parts: list[Any] = [self.about.get("architecture"), self.preprocessing.to_config()]
        for name in sorted(tensors):
            tensor = tensors[name].detach().cpu().contiguous()
            # as bytes, since NumPy has no bfloat16
            data = tensor.reshape(-1).view(torch.uint8).numpy()
            parts += [name, str(tensor.dtype), list(tensor.shape), data]
        return digest(*parts)
