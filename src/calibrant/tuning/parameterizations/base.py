"""What every parameterization is: trainable tensors, and the features and logits they lead to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.text import text_classifier
from calibrant.tuning import settings as checked
from calibrant.tuning.components import Component
from calibrant.tuning.task import Task

TextFeatures = Callable[[Sequence[str]], Tensor]


class Parameterization(nn.Module, Component):
    """A dual encoder with something trainable in or around it. By itself it is the zero-shot model.

    A subclass makes its tensors in the constructor, names them in `trainables`, and overrides whichever of
    `adapt`, `text_features`, `text_features_for` and `logits` they change. It never changes a tensor of the given
    encoder: where it trains a tower, it does so in a copy (see `with_own`).

    Args:
        settings: checked settings.
        encoder: the dual encoder.
        task: the class list.
        draw: random numbers for the initial values.

    Attributes:
        trains_image_tower: if not, image features may be computed once and kept.
        text_side: ``"tuned"`` or ``"zero-shot"``: what answers for names outside the tuned class list.
        image_conditioned: whether the text features of a class differ from image to image, so that they cannot
            be remembered; then `text_features_for` gives [N, C, D].
    """

    trains_image_tower: bool = False
    image_conditioned: bool = False
    text_side: str = "zero-shot"

    def __init__(self, settings: checked.Settings, encoder: DualEncoder, task: Task, draw: np.random.Generator) -> None:
        super().__init__()
        self.encoder = encoder
        self.task = task

    @property
    def image_side(self) -> str:
        """``"tuned"`` or ``"untouched"``: the image tower that encodes images."""
        return "tuned" if self.trains_image_tower else "untouched"

    def trainables(self) -> dict[str, nn.Parameter]:
        """Name the trained tensors; the names are those of the weights file."""
        return {}

    def zero_shot_tensors(self) -> dict[str, Tensor]:
        """Give the values of `trainables` that make this the zero-shot model.

        Raises:
            InputError: if there are none, as for a context that starts from random numbers.
        """
        raise InputError(f"'{self.name}' does not start from the zero-shot model, so it cannot be averaged with it")

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Take on the shapes of the values that come next, where training data decide the size of a trained tensor.

        Args:
            tensors: values by the names of `trainables`.
        """

    def at_step(self, draw: np.random.Generator) -> AbstractContextManager[None]:
        """Be in training for one step; nothing is different by default.

        Args:
            draw: random numbers of this step, for dropout and the like.

        Returns:
            A context around the forward pass; outside of it the model answers without drawing anything.
        """
        return nullcontext()

    def image_features(self, pixels: Tensor) -> Tensor:
        """Encode images.

        Args:
            pixels: float [N, 3, H, W].

        Returns:
            float32 [N, D], rows of unit norm.
        """
        return self.adapt(self.encoder.encode_image(pixels))

    def adapt(self, features: Tensor) -> Tensor:
        """Change image features behind the image tower; not at all by default.

        Args:
            features: float32 [N, D] of the image tower, rows of unit norm.

        Returns:
            float32 [N, D], rows of unit norm.
        """
        return features

    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name.

        Args:
            names: C class names; synonyms of the task are averaged.
            templates: class prompts with ``{}``; by default those of the task.

        Returns:
            float32 [C, D], rows of unit norm.
        """
        return text_classifier(self.encoder, names, templates or self.task.templates, self.task.words)

    def text_features_for(self, names: Sequence[str], image_features: Tensor) -> Tensor:
        """Encode classes as they are compared with these images; the same for all images by default.

        Args:
            names: C class names.
            image_features: float32 [N, D], as `image_features` gives them.

        Returns:
            float32 [C, D], or [N, C, D] where `image_conditioned`; unit norm along D.
        """
        return self.text_features(names)

    def logits(self, image_features: Tensor, names: Sequence[str], text_features: TextFeatures | None = None) -> Tensor:
        """Compare images with classes.

        Args:
            image_features: float32 [N, D], as `image_features` gives them.
            names: C class names.
            text_features: stands in for `text_features_for` these images where the caller remembers its answers.

        Returns:
            float32 [N, C].
        """
        text = self.text_features_for(names, image_features) if text_features is None else text_features(names)
        return cosine_logits(image_features, text, self.encoder)


def cosine_logits(image_features: Tensor, text_features: Tensor, encoder: DualEncoder) -> Tensor:
    """Give logit scale x cosine (+ bias), in float32 whatever the precision of training.

    Args:
        image_features: [N, D], rows of unit norm.
        text_features: [C, D], or [N, C, D] where each image has its own; unit norm along D.
        encoder: has the scale and, perhaps, the bias.

    Returns:
        float32 [N, C].
    """
    with torch.autocast(image_features.device.type, enabled=False):
        images, texts = image_features.float(), text_features.float()
        cosines = images @ texts.T if texts.ndim == 2 else torch.einsum("nd,ncd->nc", images, texts)
        logits = encoder.logit_scale.float() * cosines
        bias = encoder.logit_bias
        return logits if bias is None else logits + bias.float()


def with_own(encoder: DualEncoder, trained: Sequence[nn.Parameter]) -> DualEncoder:
    """Copy a dual encoder, but share every tensor that is not trained.

    Args:
        encoder: stays as it is.
        trained: the parameters of `encoder` that get copies.

    Returns:
        A dual encoder whose copies require gradients and whose shared tensors are those of `encoder`.
    """
    own = {id(parameter) for parameter in trained}
    shared = [tensor for tensor in (*encoder.parameters(), *encoder.buffers()) if id(tensor) not in own]
    copied = copy.deepcopy(encoder, {id(tensor): tensor for tensor in shared})
    kept = {id(tensor) for tensor in shared}
    for parameter in copied.parameters():
        if id(parameter) not in kept:
            parameter.requires_grad_(True)
    return copied


def normalised(features: Tensor) -> Tensor:
    """Scale rows to unit norm, in float32.

    Example:
        >>> normalised(torch.tensor([[3.0, 4.0]])).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """
    return F.normalize(features.float(), dim=-1)
