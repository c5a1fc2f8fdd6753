"""A model whose evidence is known: it sees the mean colour of the upper left corner, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.preprocessing import Preprocessing
from calibrant.tuning.parameterizations.base import Parameterization, normalised
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import Answers

SIZE, CORNER, SCALE = 8, 4, 10.0
COLOURS = ["red", "green", "blue"]
_OFFSET = torch.tensor([0.5, 0.4, 0.6])  # the feature of an empty image


def corner_weights() -> Tensor:
    """Give the weights [3, 3 * S * S] that turn an image into the mean colour of its corner."""
    weights = torch.zeros(3, 3, SIZE, SIZE)
    for channel in range(3):
        weights[channel, channel, :CORNER, :CORNER] = 1 / CORNER**2
    return weights.flatten(1)


class _Corner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(3 * SIZE * SIZE, 3)])
        self.blocks[0].weight = nn.Parameter(corner_weights(), requires_grad=False)
        self.blocks[0].bias = nn.Parameter(_OFFSET.clone(), requires_grad=False)
        self.proj = nn.Parameter(torch.eye(3), requires_grad=False)
        self.log_scale = nn.Parameter(torch.tensor(SCALE).log(), requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.blocks[0](pixels.flatten(1)) @ self.proj


def _image_tower_parameters(self: DualEncoder) -> Iterator[tuple[str, nn.Parameter]]:
    tower = self.network
    yield "network.proj", tower.proj
    yield from ((f"network.{name}", tensor) for name, tensor in tower.named_parameters() if name.startswith("blocks"))


_MEMBERS = dict.fromkeys(DualEncoder.__abstractmethods__) | {
    "embed_image": lambda self, pixels: self.network(pixels),
    "encode_image": lambda self, pixels, edit=None: normalised(self.network(pixels)),
    "log_logit_scale": property(lambda self: self.network.log_scale),
    "logit_bias": None,
    "image_projection": property(lambda self: self.network.proj),
    "image_tower_parameters": _image_tower_parameters,
    "image_tower_state": lambda self: dict(self.network.state_dict()),
}
CornerEncoder = type("CornerEncoder", (DualEncoder,), _MEMBERS)


def make_encoder() -> DualEncoder:
    encoder = CornerEncoder()
    encoder.network = _Corner()
    encoder.name, encoder.about, encoder.capabilities = "corner", {}, frozenset()
    encoder.image_width = encoder.image_layers = encoder.text_layers = 0
    encoder.embed_dim = 3
    encoder.preprocessing = Preprocessing((SIZE, SIZE), mean=(0.5,) * 3, std=(0.5,) * 3)
    return encoder


class _Colours(Parameterization):
    """Class names are colours, and their text features the axes of colour space."""

    name = "colours"

    def text_features(self, names, templates=None) -> Tensor:
        return torch.stack([torch.eye(3)[COLOURS.index(name)] for name in names])


def make_model() -> Answers:
    return Answers(_Colours(Settings(), make_encoder(), Task(COLOURS, ["{}"], {}), np.random.default_rng(0)))


def make_pixels(count: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, (count, 3, SIZE, SIZE)).astype(np.float32))


def cosine(image: np.ndarray, target: int) -> float:
    """Compute the cosine of one image [3, S, S] to one class, in float64."""
    colour = np.array([image[c, :CORNER, :CORNER].mean() + float(_OFFSET[c]) for c in range(3)], dtype=np.float64)
    return float(colour[target] / np.sqrt((colour**2).sum()))
