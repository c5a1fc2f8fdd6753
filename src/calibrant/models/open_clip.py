"""Models of open_clip behind the dual-encoder interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from calibrant.errors import InputError
from calibrant.models.attention import Attention, replace_attention
from calibrant.models.dual_encoder import BlockEdit, DualEncoder
from calibrant.models.open_clip_image import ImageTower, find_image_tower
from calibrant.models.open_clip_text import TextTower, find_text_tower
from calibrant.models.preprocessing import Preprocessing
from calibrant.models.shared_prefix import can_share_prefix, encode_after_prefix
from calibrant.models.text import pad_tokens, too_long


class OpenClipEncoder(DualEncoder):
    """A dual encoder around an open_clip network, in eval mode, with our attention in open_clip's own blocks.

    Args:
        network: the open_clip model; it is changed in place.
        tokenizer: an open_clip tokenizer.
        preprocessing: of its images.
        name: what it is called.
        about: source, licence, limits, architecture and the like.
    """

    network: Any  # an open_clip model; its makes share no type

    def __init__(
        self,
        network: nn.Module,
        tokenizer: Any,
        preprocessing: Preprocessing,
        name: str,
        about: Mapping[str, Any],
    ) -> None:
        super().__init__()
        replace_attention(network)
        self.network = network
        self.name, self.about, self.preprocessing = name, dict(about), preprocessing
        self._tokenizer = tokenizer
        self._image: ImageTower | None = find_image_tower(network)
        self._text: TextTower | None = find_text_tower(network)
        self.context_length = int(self.network.context_length)
        architecture = self.about["architecture"]
        self.embed_dim = int(architecture["embed_dim"])
        self.text_width = self._text.width if self._text else int(architecture["text_cfg"].get("width", 0))
        self.image_width, self.image_layers = (self._image.width, self._image.layers) if self._image else (0, 0)
        self.text_layers = self._text.layers if self._text and self._text.own_blocks else 0
        self.causal_text = self._text is not None and self._text.causal
        self.capabilities = frozenset(self._find_capabilities())
        self.eval()

    def _find_capabilities(self) -> Iterator[str]:
        if self._text is not None:
            yield "text_embeddings"
            if self._text.ends_in_text and hasattr(self._tokenizer, "eot_token_id"):
                yield "padding_cut"
            if can_share_prefix(self._text):
                yield "shared_prefix"
        if any(isinstance(module, Attention) for module in self.network.visual.modules()):
            yield "attention_maps"
        if self.image_layers and self.text_layers:
            yield "block_edits"

    @override
    def tokenize(self, texts: Sequence[str]) -> Tensor:
        rows, longest = self._rows(texts), self.context_length
        for text, row in zip(texts, rows, strict=True):
            if len(row) > longest:
                raise too_long(text, len(row), longest)
        if "padding_cut" in self.capabilities:
            return pad_tokens(rows, max(map(len, rows), default=0))
        ids: Tensor = self._tokenizer(list(texts), context_length=longest)
        return ids

    @override
    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(row) for row in self._rows(texts)]

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, without padding."""
        tokenizer = self._tokenizer
        if not hasattr(tokenizer, "eot_token_id"):  # a tokenizer of Hugging Face, which pads as its model needs
            rows: list[list[int]] = tokenizer.tokenizer(list(texts))["input_ids"]
            return rows
        return [[tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id] for text in texts]

    @override
    def embed_tokens(self, ids: Tensor) -> Tensor:
        return self._text_tower().embed(ids)

    @override
    def embed_image(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.network.encode_image(pixels).float()
        return features

    @override
    def encode_image(self, pixels: Tensor, edit: BlockEdit | None = None) -> Tensor:
        if edit is None:
            return F.normalize(self.embed_image(pixels), dim=-1)
        if self._image is None:
            raise InputError(f"the image tower of {self.name} takes no prompts; choose a ViT of open_clip's own")
        return F.normalize(self._image(pixels, edit).float(), dim=-1)

    @override
    def encode_text(self, ids: Tensor) -> Tensor:
        if self._text is None:
            return F.normalize(self.network.encode_text(ids).float(), dim=-1)
        return self.encode_text_embeddings(self.embed_tokens(ids), ids)

    @override
    def encode_text_embeddings(self, embeddings: Tensor, ids: Tensor, edit: BlockEdit | None = None) -> Tensor:
        tower = self._text_tower()
        if edit is not None and not self.text_layers:
            raise InputError(f"the text tower of {self.name} takes no deep prompts; choose a model with CLIP's own")
        return F.normalize(tower(embeddings, ids, edit).float(), dim=-1)

    @override
    def encode_text_after_prefix(
        self, prefix: Tensor, embeddings: Tensor, ids: Tensor, edit: BlockEdit | None = None
    ) -> Tensor:
        if "shared_prefix" not in self.capabilities:
            raise InputError(f"the text tower of {self.name} cannot share a prefix; give it whole prompts")
        return F.normalize(encode_after_prefix(self._text_tower(), prefix, embeddings, ids, edit).float(), dim=-1)

    def _text_tower(self) -> TextTower:
        if self._text is None:
            raise InputError(f"the text tower of {self.name} takes no embeddings; choose a model with CLIP's own")
        return self._text

    @property
    @override
    def log_logit_scale(self) -> nn.Parameter:
        scale = self.network.logit_scale
        assert isinstance(scale, nn.Parameter)
        return scale

    @property
    @override
    def logit_bias(self) -> Tensor | None:
        bias = getattr(self.network, "logit_bias", None)
        return bias.reshape(()) if isinstance(bias, Tensor) else None

    @property
    @override
    def image_projection(self) -> Tensor | None:
        visual = self.network.visual
        # a ResNet of CLIP ends in the output layer of its attention pool, a Linear
        projection = visual.attnpool.c_proj.weight.T if hasattr(visual, "attnpool") else getattr(visual, "proj", None)
        return projection if isinstance(projection, Tensor) else None

    @property
    @override
    def text_projection(self) -> Tensor | None:
        return self._text.projection if self._text else None

    @override
    def image_tower_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return (pair for pair in self.named_parameters() if pair[0].startswith("network.visual."))

    @override
    def text_tower_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        shared = ("network.visual.", "network.logit_scale", "network.logit_bias")
        return (pair for pair in self.named_parameters() if not pair[0].startswith(shared))

    @override
    def image_tower_state(self) -> Mapping[str, Tensor]:
        return {name: tensor for name, tensor in self.state_dict().items() if name.startswith("network.visual.")}
