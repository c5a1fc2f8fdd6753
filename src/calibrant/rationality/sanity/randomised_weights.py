"""Does a map depend on what the image tower has learnt? Its weights are randomised, last layer first."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from calibrant.arrays import Float64
from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.preprocessing import draws
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.sanity.agreement import rank_correlation
from calibrant.tuning.tuned_model import Answers

_FIRST, _LAST = "stem", "output"
_BLOCK = re.compile(r"^(.*?\.\d+)\.")


@dataclass(frozen=True, eq=False)
class RandomisedWeights:
    """How maps change while the image tower forgets what it has learnt.

    Args:
        layers: K names, in the order in which they were randomised; each step keeps those before it.
        correlation: float64 [K, N], rank correlation of each map with that of the model as it is; NaN where a map holds
            no evidence.
    """

    layers: list[str]
    correlation: Float64


def randomised_weights(
    explainer: Explainer, model: Answers, images: Any, targets: Any, *, seed: int = 0, **options: Any
) -> RandomisedWeights:
    """Explain the same scores while the layers of the image tower are randomised one after the other.

    An explainer whose maps stay the same would show them for a model that knows nothing: it draws edges, or the middle
    of the image.

    Args:
        explainer: any explainer.
        model: a tuned model or its zero-shot reference; it stays as it is, a copy of the tower is randomised.
        images: N images, as `Explainer.explain` takes them.
        targets: int [N], index into the classes.
        seed: of the random weights.
        options: what else `Explainer.explain` takes: `classes`, `score`, `layers`, `batch_size`.

    Returns:
        The correlations, layer by layer.

    Raises:
        InputError: if the image tower has no weights.

    Source: Adebayo et al. (2018). Sanity checks for saliency maps. NeurIPS (cascading randomization).
    """
    learnt = explainer.explain(model, images, targets, **options).maps
    layers, correlation = [], []
    for layer, forgetful in cascade(model, seed):
        maps = explainer.explain(forgetful, images, targets, **options).maps
        layers.append(layer)
        correlation.append(rank_correlation(learnt, maps))
    return RandomisedWeights(layers, np.stack(correlation))


def cascade(model: Answers, seed: int = 0) -> Iterator[tuple[str, Answers]]:
    """Randomise the image tower of a copy of a model, layer by layer from the last to the first.

    Args:
        model: stays as it is; the copy shares every tensor outside the image tower with it.
        seed: of the random weights.

    Yields:
        The name of a layer, and the copy in which it and all layers behind it have random weights. It is one and the
        same copy, so it must be used before the next one is asked for.

    Raises:
        InputError: if the image tower has no weights.
    """
    copied = Answers(_with_own_tower(model))
    for layer, tensors in reversed(layers_of(copied.encoder)):
        for name, tensor in tensors:
            _randomise(name, tensor, seed)
        yield layer, copied


def randomised(model: Answers, seed: int = 0) -> Answers:
    """Copy a model and randomise all of its image tower.

    Args:
        model: stays as it is.
        seed: of the random weights.

    Returns:
        The copy.

    Raises:
        InputError: if the image tower has no weights.
    """
    *_, (_, copied) = cascade(model, seed)
    return copied


def layers_of(encoder: DualEncoder) -> list[tuple[str, list[tuple[str, nn.Parameter]]]]:
    """Group the weights of an image tower by layer, in the order in which an image passes through them.

    Args:
        encoder: any dual encoder. Blocks are told by the number in the names of their tensors.

    Returns:
        Name and tensors of each layer: the stem, the blocks, and the output behind them.

    Raises:
        InputError: if the image tower has no weights.
    """
    groups: dict[str, list[tuple[str, nn.Parameter]]] = {_FIRST: []}
    output: list[tuple[str, nn.Parameter]] = []
    projection = encoder.image_projection
    for name, tensor in encoder.image_tower_parameters():
        block = _BLOCK.match(name)
        if tensor is projection:
            output.append((name, tensor))
        elif block:
            groups.setdefault(block[1], []).append((name, tensor))
        else:
            (groups[_FIRST] if len(groups) == 1 else output).append((name, tensor))
    layers = [(layer, tensors) for layer, tensors in [*groups.items(), (_LAST, output)] if tensors]
    if not layers:
        raise InputError(f"the image tower of '{encoder.name}' has no weights that could be randomised")
    return layers


@torch.no_grad()
def _randomise(name: str, tensor: Tensor, seed: int) -> None:
    """Draw every weight anew from a normal distribution with the mean and the spread of the trained tensor."""
    values = torch.from_numpy(draws(seed, f"random weights of {name}").standard_normal(tuple(tensor.shape)))
    # the scale is kept, so that signals neither fade nor explode on their way through random layers
    spread = tensor.float().std(correction=0)
    tensor.copy_(tensor.float().mean() + spread * values.to(tensor.device, torch.float32))


def _with_own_tower(model: Answers) -> Any:
    """Copy a parameterization, but share every tensor outside its image tower."""
    part = model.parameterization
    own = {id(tensor) for _, tensor in model.encoder.image_tower_parameters()}
    shared = [tensor for tensor in (*part.parameters(), *part.buffers()) if id(tensor) not in own]
    return copy.deepcopy(part, {id(tensor): tensor for tensor in shared})
