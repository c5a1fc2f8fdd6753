"""The stored output of a model on one evaluation set."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_array, as_probabilities, softmax
from calibrant.errors import CalibrantWarning, InputError
from calibrant.predictions.checks import checked, look_like_probabilities

# fields with one entry per sample, which `subset` cuts; all others describe the whole set
PER_SAMPLE = ("logits", "labels", "zero_shot_logits", "proximity", "image_features")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The logits of a model on N samples and C classes, with what later stages want to know about them.

    Everything but `logits` is optional. Arrays may be NumPy arrays or torch tensors; half precision is kept
    as float32. Everything is checked once, here.

    Args:
        logits: float32 or float64 [N, C], finite.
        labels: int64 [N], index into `classes`; -1 for none of the classes, which no metric or calibrator
            accepts.
        classes: C unique names; numbered when missing.
        zero_shot_logits: [N, C] of the model before tuning, on the same samples and classes.
        text_features: [C, D] tuned text features of the classes.
        zero_shot_text_features: [C, D] the same before tuning.
        base_text_features: [B, D] tuned text features of the classes that were tuned.
        zero_shot_base_text_features: [B, D] the same before tuning.
        proximity: [N] closeness of each sample to the training data.
        columns: named arrays [N] that describe the samples: drawing, group, site.
        ids: N unique, stable names of the samples.
        about: how the predictions were made; anything that JSON can hold.
        logit_scale: what the tuned model multiplies cosines with.
        zero_shot_logit_scale: the same before tuning.
        image_features: [N, D] of the samples.
        reference_image_features: [R, D] of images to compare with, such as the training images.
        base_classes: the B names of the classes that were tuned.
        tuned_text: whether tuning changed the text features.

    Raises:
        InputError: in one line, for NaN or infinite values, lengths that differ, labels outside the class
            list, duplicate or empty names, an empty set or a single class.

    Warns:
        CalibrantWarning: if the logits look like probabilities; they are taken as logits all the same.

    Example:
        >>> pets = Predictions(logits=[[2.0, 0.0], [0.0, 1.0]], labels=[0, 1], classes=["cat", "dog"])
        >>> len(pets), pets.subset([1]).labels
        (2, array([1]))
    """

    logits: Array
    labels: Int64 | None = None
    classes: list[str] = None  # type: ignore[assignment]  # None numbers them; afterwards it is a list
    zero_shot_logits: Array | None = None
    text_features: Array | None = None
    zero_shot_text_features: Array | None = None
    base_text_features: Array | None = None
    zero_shot_base_text_features: Array | None = None
    proximity: Array | None = None
    columns: Mapping[str, Array] = field(default_factory=dict)
    ids: list[str] | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    logit_scale: float | None = None
    zero_shot_logit_scale: float | None = None
    image_features: Array | None = None
    reference_image_features: Array | None = None
    base_classes: list[str] | None = None
    tuned_text: bool | None = None

    def __post_init__(self) -> None:
        for name, value in checked({item.name: getattr(self, item.name) for item in fields(self)}).items():
            object.__setattr__(self, name, value)
        if look_like_probabilities(self.logits):
            warnings.warn(
                "these logits look like probabilities (no entry is below 0 and every row sums to 1); for probabilities "
                "use Predictions.from_probabilities, or call the field or columns of a file so",
                CalibrantWarning,
                stacklevel=3,
            )

    def __len__(self) -> int:
        return len(self.logits)

    def __repr__(self) -> str:
        there = [item.name for item in fields(self) if _filled(getattr(self, item.name)) and item.name != "logits"]
        return f"Predictions({len(self)} samples, {len(self.classes)} classes; with {', '.join(there)})"

    @classmethod
    def from_probabilities(cls, probabilities: Any, **others: Any) -> Predictions:
        """Make predictions of a model that gives probabilities: their logarithms serve as logits.

        A probability of exactly 0 has no finite logarithm: the smallest normal number of the array's
        precision takes its place, with a warning, and ``about["zero_probabilities"]`` counts them.

        Args:
            probabilities: [N, C], rows sum to 1.
            others: any other field of `Predictions`.

        Returns:
            Predictions whose softmax is `probabilities`, with ``about["from_probabilities"] = True``.

        Raises:
            InputError: if the rows are no probabilities, or another field is wrong.

        Example:
            >>> Predictions.from_probabilities([[0.25, 0.75]]).about
            {'from_probabilities': True}
        """
        p = as_probabilities(probabilities)
        about = {**others.pop("about", {}), "from_probabilities": True}
        smallest = np.finfo(p.dtype).tiny
        if zeros := int((p < smallest).sum()):
            about["zero_probabilities"] = zeros
            warnings.warn(
                f"{zeros} probabilities are 0 and are stored as {smallest:.3g}",
                CalibrantWarning,
                stacklevel=2,
            )
        return cls(logits=np.log(np.maximum(p, smallest)), about=about, **others)

    def subset(self, indices_or_mask: Any) -> Predictions:
        """Choose some of the samples.

        Args:
            indices_or_mask: positions, int [M], or bool [N].

        Returns:
            The chosen samples, in that order, with the same classes.

        Raises:
            InputError: if nothing is chosen, a position does not exist, or the mask has another length.
        """
        chosen = as_array(indices_or_mask, "the subset")
        if chosen.dtype.kind == "b":
            if chosen.shape != (len(self),):
                raise InputError(f"the mask has shape {list(chosen.shape)}, but there are {len(self)} samples")
            chosen = np.flatnonzero(chosen)
        if chosen.size == 0:
            raise InputError("the subset is empty: no sample was chosen")
        if chosen.dtype.kind not in "iu" or chosen.ndim != 1:
            raise InputError("a subset is chosen by a list of positions or by a mask of true and false")
        if chosen.min() < -len(self) or chosen.max() >= len(self):
            raise InputError(f"the subset asks for sample {chosen.max()}, but there are {len(self)} samples")
        cut = {name: value[chosen] for name in PER_SAMPLE if (value := getattr(self, name)) is not None}
        columns = {name: column[chosen] for name, column in self.columns.items()}
        ids = None if self.ids is None else [self.ids[i] for i in chosen]
        return replace(self, **cut, columns=columns, ids=ids)

    def probabilities(self) -> Float64:
        """Give the probabilities that the logits stand for, before any calibration.

        Returns:
            float64 [N, C], the softmax of the logits.
        """
        return softmax(self.logits)

    def save(self, path: str | Path) -> None:
        """Write the predictions to one safetensors file, whole or not at all.

        Args:
            path: the file, usually ending in ``.safetensors``.

        Raises:
            InputError: if the file cannot be written, or `about` holds what JSON cannot.
        """
        from calibrant.predictions.safetensors_file import write

        write(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Predictions:
        """Read predictions from a safetensors file.

        Args:
            path: the file.

        Returns:
            What `save` wrote.

        Raises:
            InputError: if the file is missing, truncated, or does not hold predictions.
        """
        from calibrant.predictions.safetensors_file import read

        return read(path)


def _filled(value: Any) -> bool:
    return value is not None and not (isinstance(value, Mapping) and not value)
