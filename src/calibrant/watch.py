"""What is watched while a model is tuned: whether it still knows what it knew before."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from calibrant import metrics
from calibrant.arrays import softmax
from calibrant.errors import InputError
from calibrant.runs.opening import new_half

if TYPE_CHECKING:
    from torch import Tensor

    from calibrant.data.evaluation_set import EvaluationSet
    from calibrant.data.registry import Data
    from calibrant.models.dual_encoder import DualEncoder
    from calibrant.tuning.tuned_model import Answers, TunedModel

MOST = 500
PROMPTS = (
    20_000  # text passes at a time where every image has prompts of its own; 500 images would outlast the training
)
BATCH = 64


@dataclass
class Watched:
    """What is measured on a few images of one evaluation set, again and again; see `measured`.

    Image features are computed once as long as tuning leaves the image tower alone.

    Args:
        chosen: at most 500 labelled images.
    """

    chosen: EvaluationSet
    _features: list[Tensor] = field(default_factory=list)

    def tuned(self, model: TunedModel) -> dict[str, float]:
        """Measure the model as it is now."""
        import torch

        features = []
        with torch.inference_mode():
            for number, rows in enumerate(self._batches()):
                if model.parameterization.trains_image_tower:
                    features.append(model.image_features(self._pixels(model, rows)))
                else:
                    features.append(model.parameterization.adapt(self._untouched(model.zero_shot, number, rows)))
            return self._measured(model, features)

    def zero_shot(self, reference: Answers) -> dict[str, float]:
        """Measure the model before tuning, which is the `zero_shot` of a tuned model."""
        import torch

        with torch.inference_mode():
            features = [self._untouched(reference, number, rows) for number, rows in enumerate(self._batches())]
            return self._measured(reference, features)

    def affordable(self, model: TunedModel) -> Watched:
        """Leave images out where each has prompts of its own, as in CoCoOp, so that watching stays cheap."""
        most = max(1, PROMPTS // len(self.chosen.classes))
        return Watched(some(self.chosen, 0, most)) if model.parameterization.image_conditioned else self

    def _batches(self) -> list[range]:
        return [range(start, min(start + BATCH, len(self.chosen))) for start in range(0, len(self.chosen), BATCH)]

    def _untouched(self, reference: Answers, number: int, rows: range) -> Tensor:
        if number == len(self._features):
            self._features.append(reference.image_features(self._pixels(reference, rows)))
        return self._features[number]

    def _pixels(self, model: Answers, rows: range) -> Tensor:
        import torch

        return torch.stack([model.encoder.test_transform(self.chosen.images[i]) for i in rows])

    def _measured(self, model: Answers, features: list[Tensor]) -> dict[str, float]:
        import torch

        classes = self.chosen.classes
        logits = torch.cat([model.logits(some, classes) for some in features])
        tensors = (logits, torch.cat(features), model.text_features(classes))
        return measured(self.chosen.labels, *(tensor.float().cpu().numpy() for tensor in tensors))


def measured(
    labels: npt.NDArray[np.int64],
    logits: npt.NDArray[np.float32],
    image_features: npt.NDArray[np.float32],
    text_features: npt.NDArray[np.float32],
) -> dict[str, float]:
    """Measure what the log says about a model.

    Args:
        labels: int64 [N].
        logits: [N, C].
        image_features: [N, D].
        text_features: [C, D].

    Returns:
        ``accuracy``, ``signed_gap``, ``logit_gap`` and ``feature_divergence`` (Euclidean distance, 5 neighbours), and
        ``smallest_singular_value`` where there is more than one image; see `calibrant.metrics.diagnostics`.
    """
    probs = softmax(logits)
    values = {
        "accuracy": metrics.accuracy(probs, labels),
        "signed_gap": metrics.signed_gap(probs, labels),
        "logit_gap": metrics.logit_gap(logits),
        "feature_divergence": metrics.feature_divergence(text_features),
    }
    if len(labels) > 1:
        values["smallest_singular_value"] = metrics.smallest_singular_value(image_features)
    return values


def some(chosen: EvaluationSet, seed: int, most: int = MOST) -> EvaluationSet:
    """Choose at most 500 labelled images, the same for the same seed.

    Args:
        chosen: an evaluation set.
        seed: decides which.
        most: how many at most.

    Returns:
        They, in the order of the set.
    """
    labelled = np.flatnonzero(chosen.labels >= 0)
    if len(labelled) > most:
        labelled = np.sort(np.random.default_rng(seed).permutation(labelled)[:most])
    return chosen.subset(labelled)


def zero_shot_of(encoder: DualEncoder, chosen: EvaluationSet) -> Answers:
    """Make the zero-shot model that answers for the classes of an evaluation set.

    Args:
        encoder: the dual encoder.
        chosen: has the classes, templates and words.

    Returns:
        The model before tuning.
    """
    from calibrant.tuning.recipe import load_recipe
    from calibrant.tuning.task import Task
    from calibrant.tuning.tuned_model import build

    task = Task(chosen.classes, chosen.templates, chosen.words)
    return build(encoder, task, load_recipe("zero-shot"), stage=0, seed=0).zero_shot


def _new_half(data: Data, options: Mapping[str, Any] | None) -> Data | None:
    """The new classes that belong to base classes; files that have been read are not read again."""
    from calibrant.data.labelled_files import LabelledFiles
    from calibrant.data.registry import load_data

    other = new_half(data.name)
    if other is None:
        return None
    if isinstance(data, LabelledFiles):
        return data.checked.half("new")
    return None if options is None else load_data(other, **options)


class Watch:
    """Gives what the log should say about a model, after every tenth of the steps.

    The values never choose anything: no step, no setting, no weight depends on them.

    Args:
        validation: images of the tuned classes, or None.
        new: images of classes that are not tuned, or None.
    """

    def __init__(self, validation: Watched | None, new: Watched | None) -> None:
        self.validation = validation
        self.new = new
        self._watched: dict[str, Watched] = {}
        self._before: dict[str, dict[str, float]] = {}

    @classmethod
    def of(cls, data: Data, options: Mapping[str, Any] | None, seed: int, most: int = MOST) -> Watch:
        """Watch at most 500 validation images of a data set and, if it is a base half, as many of the new half.

        Fewer where every image has prompts of its own, as in CoCoOp: as many as make 20,000 prompts.

        Args:
            data: the data set that is tuned on.
            options: with which it was opened; None if that is not known, then only it is watched.
            seed: decides which images.
            most: how many images of each.
        """
        new = None
        with contextlib.suppress(InputError):  # too few new classes to make a data set of
            new = _new_half(data, options)
        sets = [
            None if one is None or "validation" not in one.splits else one.split("validation") for one in (data, new)
        ]
        return cls(*(None if one is None else Watched(some(one, seed, most)) for one in sets))

    def __call__(self, step: int, total: int, model: TunedModel) -> Mapping[str, float]:
        """Measure.

        Args:
            step: how many steps are done.
            total: of how many.
            model: the model as it is now.

        Returns:
            What `measured` gives for images of the tuned classes and, under names that start with ``new_class_``, of
            new ones, where there are images; the same of the zero-shot model under ``zero_shot_...``; and ``done``,
            the share of the steps.
        """
        values = {"done": step / total}
        for prefix, all_of_them in (("", self.validation), ("new_class_", self.new)):
            if all_of_them is not None:
                if prefix not in self._before:
                    self._watched[prefix] = all_of_them.affordable(model)
                    self._before[prefix] = self._watched[prefix].zero_shot(model.zero_shot)
                watched = self._watched[prefix]
                values |= {f"{prefix}{name}": value for name, value in watched.tuned(model).items()}
                values |= {f"zero_shot_{prefix}{name}": value for name, value in self._before[prefix].items()}
        return values
