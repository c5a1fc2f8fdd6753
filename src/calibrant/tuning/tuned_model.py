"""A tuned model: features and logits for any images and any names, beside its zero-shot reference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calibrant.errors import InputError
from calibrant.models.dual_encoder import DualEncoder
from calibrant.models.preprocessing import draws
from calibrant.tuning.components import PARAMETERIZATIONS
from calibrant.tuning.parameterizations.base import Parameterization
from calibrant.tuning.parameterizations.zero_shot import ZeroShot
from calibrant.tuning.recipe import Recipe
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task
from calibrant.tuning.tensors import read_tensors, write_tensors

REMEMBERED = 4
"""Class lists whose text features are kept: current and tuned classes, and two more."""


class Answers:
    """A model that only answers: no gradients, float32, on the device of its weights.

    Args:
        parameterization: the model.
    """

    def __init__(self, parameterization: Parameterization) -> None:
        self.parameterization = parameterization.eval()
        self._remembered: dict[tuple[tuple[str, ...], ...], tuple[Any, Tensor]] = {}

    @property
    def encoder(self) -> DualEncoder:
        """The dual encoder with its current weights; it has the test transform."""
        return self.parameterization.encoder

    @property
    def logit_scale(self) -> float:
        """The factor from cosine to logit."""
        return float(self.encoder.logit_scale.detach())

    @torch.no_grad()
    def image_features(self, pixels: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """Encode images.

        Args:
            pixels: float [N, 3, S, S], as `encoder.test_transform` gives them.

        Returns:
            float32 [N, D], rows of unit norm.
        """
        return self.parameterization.image_features(self._placed(pixels))

    @torch.no_grad()
    def text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """Encode classes of any name, seen in tuning or not.

        Args:
            names: C class names.
            templates: class prompts with ``{}``; by default those of the tuning data. A learned context has
                no use for them.

        Returns:
            float32 [C, D], rows of unit norm.

        Raises:
            InputError: if a prompt is too long, naming it.
        """
        return self._text_features(names, templates).clone()

    @torch.no_grad()
    def logits(self, pixels_or_features: Tensor | np.ndarray[Any, Any], names: Sequence[str]) -> Tensor:
        """Compare images with classes.

        Args:
            pixels_or_features: float [N, 3, S, S], or [N, D] as `image_features` gives them.
            names: C class names, seen in tuning or not.

        Returns:
            float32 [N, C].
        """
        given = self._placed(pixels_or_features)
        features = given if given.ndim == 2 else self.parameterization.image_features(given)
        remembered = None if self.parameterization.image_conditioned else self._text_features
        return self.parameterization.logits(features, list(names), remembered)

    def _text_features(self, names: Sequence[str], templates: Sequence[str] | None = None) -> Tensor:
        """The text features of the last few class lists, remembered as long as no weight changes."""
        versions = tuple(tensor._version for tensor in self.parameterization.trainables().values())
        made_of, key = (versions, self.encoder.log_logit_scale.device), (tuple(names), tuple(templates or ()))
        known = self._remembered.pop(key, None)
        if known is None or known[0] != made_of:
            if len(self._remembered) >= REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            known = (made_of, self.parameterization.text_features(names, templates))
        # at the end, so that lists which are asked for again and again stay
        self._remembered[key] = known
        return known[1]

    def _placed(self, values: Tensor | np.ndarray[Any, Any]) -> Tensor:
        tensor = torch.from_numpy(np.asarray(values)) if not isinstance(values, Tensor) else values
        return tensor.to(self.encoder.log_logit_scale.device)


class TunedModel(Answers):
    """A tuned model with its zero-shot reference, which shares every tensor that was not trained.

    Attributes:
        parameterization: the trained tensors and what they do.
        classes: the tuned class list.
        templates: its class prompts.
        words: its synonyms.
        recipe: how it was tuned.
        zero_shot: the model before tuning, with the same three methods.
        about: ``text_side`` (``"tuned"`` or ``"zero-shot"``: what answers for names outside the tuned class
            list), ``image_tower`` (``"tuned"`` or ``"untouched"``), ``model``, ``method``.
    """

    def __init__(self, encoder: DualEncoder, task: Task, recipe: Recipe, parameterization: Parameterization) -> None:
        super().__init__(parameterization)
        self.recipe = recipe
        self.classes = list(task.classes)
        self.templates = list(task.templates)
        self.words = dict(task.words)
        self.zero_shot = Answers(ZeroShot(Settings(), encoder, task, draws(0, "zero-shot")))

    @property
    def about(self) -> dict[str, Any]:
        """How the model answers, as JSON values."""
        return {
            "method": self.recipe.name,
            "model": self.zero_shot.encoder.name,
            "text_side": self.parameterization.text_side,
            "image_tower": self.parameterization.image_side,
        }

    def tensors(self) -> dict[str, Tensor]:
        """Give copies of the trained tensors by name."""
        return {name: tensor.detach().clone() for name, tensor in self.parameterization.trainables().items()}

    @torch.no_grad()
    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Write values into the trained tensors.

        Args:
            tensors: values by name; names that are left out stay as they are.

        Raises:
            InputError: if a name is not trained here or a shape differs.
        """
        self.parameterization.make_room(tensors)
        trained = self.parameterization.trainables()
        for name, value in tensors.items():
            if name not in trained:
                raise InputError(f"'{self.recipe.name}' does not train a tensor '{name}'")
            if trained[name].shape != value.shape:
                shapes = f"{list(value.shape)}, not {list(trained[name].shape)}"
                raise InputError(f"tensor '{name}' is {shapes}: it belongs to another model or class list")
            trained[name].copy_(value)

    def save(self, path: str | Path) -> None:
        """Write the trained tensors, and what is needed to use them again, into one safetensors file.

        Args:
            path: the file; it is whole or absent.

        Raises:
            InputError: if it cannot be written.
        """
        about = {
            **self.about,
            "fingerprint": self.zero_shot.encoder.fingerprint(),
            "classes": self.classes,
            "templates": self.templates,
            "words": {name: list(words) for name, words in self.words.items()},
            "recipe": self.recipe.model_dump(mode="json"),
        }
        write_tensors(path, self.tensors(), about)

    @classmethod
    def load(cls, path: str | Path, encoder: DualEncoder | None = None) -> TunedModel:
        """Read what `save` wrote.

        Args:
            path: the file.
            encoder: the model that was tuned; by default it is loaded by its name.

        Returns:
            The tuned model.

        Raises:
            InputError: if the file is damaged, or the model is not the one that was tuned.
        """
        tensors, about = read_tensors(path)
        try:
            recipe = Recipe.model_validate(about["recipe"])
            task = Task(about["classes"], about["templates"], about["words"])
            name, fingerprint = about["model"], about["fingerprint"]
        except (KeyError, TypeError, ValueError) as error:
            reason = json.dumps(str(error).splitlines()[0])
            raise InputError(f"{path} is not a tuned model that this version can read: {reason}") from None
        if encoder is None:
            from calibrant.models.registry import load_model

            encoder = load_model(name)
        if encoder.fingerprint() != fingerprint:
            raise InputError(f"{path} was tuned from '{name}' with other weights than those of '{encoder.name}' here")
        model = build(encoder, task, recipe, stage=len(recipe.stages) - 1, seed=0)
        missing = sorted(set(model.parameterization.trainables()) - set(tensors))
        if missing:
            raise InputError(f"{path} lacks the tensor '{missing[0]}'")
        model.load_tensors(tensors)
        return model


def build(encoder: DualEncoder, task: Task, recipe: Recipe, stage: int, seed: int) -> TunedModel:
    """Make the model of one stage at its starting point.

    Args:
        encoder: the dual encoder; its tensors are not changed.
        task: the class list.
        recipe: the method.
        stage: number of the stage, from 0.
        seed: the training seed.

    Returns:
        The model.
    """
    # what is not trained needs no gradients; what is trained is a copy that asks for them
    encoder.requires_grad_(False)
    part = dict(recipe.stages[stage].parameterization)
    name = str(part.pop("name"))
    draw = draws(seed, "initial values", stage)
    return TunedModel(encoder, task, recipe, PARAMETERIZATIONS.build(name, part, encoder, task, draw))
