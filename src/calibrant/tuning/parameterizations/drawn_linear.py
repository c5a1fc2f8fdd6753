"""Linear layers whose initial values are drawn from the training seed."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def drawn_linear(inputs: int, outputs: int, draw: np.random.Generator, device: torch.device) -> nn.Linear:
    """Make a linear layer with PyTorch's usual start: weight and bias uniform in +-1/sqrt(inputs).

    Args:
        inputs: size of the input.
        outputs: size of the output.
        draw: the random numbers.
        device: where it lies.

    Returns:
        The layer, in float32.

    Example:
        >>> drawn_linear(2, 3, np.random.default_rng(0), torch.device("cpu")).weight.shape
        torch.Size([3, 2])
    """
    layer = nn.Linear(inputs, outputs, device=device)
    bound = inputs**-0.5
    with torch.no_grad():
        for tensor in (layer.weight, layer.bias):
            tensor.copy_(torch.from_numpy(draw.uniform(-bound, bound, tuple(tensor.shape))))
    return layer
