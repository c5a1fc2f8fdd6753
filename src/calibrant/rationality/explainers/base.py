"""The shape of an explainer: a model, images and classes in, heat maps out; the model stays as it is."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.rationality.explainers.scores import Score, checked_score
from calibrant.rationality.heat_maps import HeatMaps
from calibrant.tuning.tuned_model import Answers

BATCH = 32


class Explainer(ABC):
    """Makes heat maps; a new one writes `_maps`. Its constructor takes parameters and nothing else.

    Attributes:
        name: what tables call it.
        paper: where it was published.
        explains: whether it explains this model's answer; if not, it only says where something like the class is.
        layers_read: ``"chosen"`` where it reads the layers that are asked for, ``"last"`` or ``"all"`` where it always
            reads those, None where it reads none; the settings of its maps say which.
    """

    name: ClassVar[str]
    paper: ClassVar[str]
    explains: ClassVar[bool]
    layers_read: ClassVar[str | None] = None

    @abstractmethod
    def _maps(
        self, model: Answers, pixels: Tensor, targets: Tensor, classes: Sequence[str], score: Score, layers: Any
    ) -> Tensor:
        """Explain one batch.

        Args:
            model: a tuned model or its zero-shot reference; none of its tensors asks for gradients here.
            pixels: float32 [B, 3, H, W].
            targets: int64 [B], index into the classes.
            classes: C names.
            score: what is explained.
            layers: as for `explain`.

        Returns:
            float [B, h, w], larger where more speaks for the class.
        """

    def explain(
        self,
        model: Answers,
        images: Any,
        targets: Any,
        *,
        classes: Sequence[str],
        ids: Sequence[str] | None = None,
        score: str = "cosine",
        layers: Any = "last",
        target: str | None = None,
        batch_size: int = BATCH,
    ) -> HeatMaps:
        """Make the heat maps of images.

        Args:
            model: a tuned model or its zero-shot reference, used as it is.
            images: N images, uint8 [H, W, 3] each, or pixels, float [N, 3, S, S], as the test transform gives them.
            targets: int [N], index into the classes: the label, or the prediction.
            classes: C names.
            ids: N unique names of the images; numbered when missing.
            score: ``"cosine"``, ``"margin"`` or ``"head"``, see `calibrant.rationality.explainers.scores`.
            layers: ``"last"``, ``"all"`` or a range of blocks (first, end), for explainers that read chosen layers.
            target: what `targets` are, ``"label"`` or ``"prediction"``, which the settings of the maps then say.
            batch_size: images at a time; the maps do not depend on it.

        Returns:
            The maps in the order of the images.

        Raises:
            InputError: if lengths differ, a target is none of the classes, or the model has not what is read.
        """
        chosen = checked_score(score)
        wanted = _checked_targets(targets, len(images), classes)
        made = []
        with as_found(model), torch.inference_mode(False), torch.enable_grad(), in_full_precision(model):
            for start in range(0, len(images), batch_size):
                pixels = pixels_of(model, images[start : start + batch_size])
                on_device = wanted[start : start + batch_size].to(pixels.device)
                found = self._maps(model, pixels, on_device, list(classes), chosen, layers)
                made.append(found.detach().float().cpu())
        settings = {"explainer": self.name, **self.parameters(), "score": chosen}
        settings["layers"] = layers if self.layers_read == "chosen" else self.layers_read
        settings |= {"model": model.encoder.name, "precision": "float32"}
        settings |= {} if target is None else {"target": target}
        names = [str(number) for number in range(len(images))] if ids is None else list(ids)
        return HeatMaps(torch.cat(made).numpy(), names, settings)

    def parameters(self) -> dict[str, Any]:
        """Give the parameters of the constructor, as JSON values."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}


@contextmanager
def as_found(model: Answers) -> Iterator[None]:
    """Ask no tensor of a model for gradients inside the block, and leave every flag as it was.

    Args:
        model: a tuned model or its zero-shot reference.
    """
    tensors = list(model.parameterization.parameters())
    asked = [tensor.requires_grad for tensor in tensors]
    try:
        for tensor in tensors:
            tensor.requires_grad_(False)
        yield
    finally:
        for tensor, before in zip(tensors, asked, strict=True):
            tensor.requires_grad_(before)


def in_full_precision(model: Answers) -> AbstractContextManager[Any]:
    """Compute in float32 even where the caller has switched autocast on: small gradients vanish in 16 bits."""
    return torch.autocast(model.encoder.log_logit_scale.device.type, enabled=False)


def pixels_of(model: Answers, images: Any) -> Tensor:
    """Prepare images as the model reads them.

    Args:
        model: a tuned model or its zero-shot reference.
        images: N images, uint8 [H, W, 3] each, or pixels, float [N, 3, S, S], as the test transform gives them.

    Returns:
        float32 [N, 3, S, S], on the device of the model.
    """
    device = model.encoder.log_logit_scale.device
    if isinstance(images, Tensor) or (isinstance(images, np.ndarray) and images.dtype.kind == "f"):
        # a copy, since tensors that were made in inference mode can be no part of a graph
        return torch.as_tensor(images).detach().clone().to(device, torch.float32)
    return torch.stack([model.encoder.test_transform(np.asarray(image)) for image in images]).to(device)


def _checked_targets(targets: Any, images: int, classes: Sequence[str]) -> Tensor:
    wanted = np.asarray(targets)
    if images == 0:
        raise InputError("there is no image to explain")
    if wanted.shape != (images,) or wanted.dtype.kind not in "iu":
        raise InputError(f"targets must be {images} positions in the class list, not {wanted.dtype} {wanted.shape}")
    if wanted.min() < 0 or wanted.max() >= len(classes):
        wrong = wanted[(wanted < 0) | (wanted >= len(classes))][0]
        raise InputError(f"target {wrong} is none of the {len(classes)} classes")
    return torch.from_numpy(wanted.astype(np.int64))
