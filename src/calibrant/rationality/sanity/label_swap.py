"""Does a map depend on the class that it explains? Each image is explained for its class and for another one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_labels
from calibrant.errors import InputError
from calibrant.models.preprocessing import draws
from calibrant.rationality.explainers.base import Explainer
from calibrant.rationality.sanity.agreement import rank_correlation
from calibrant.tuning.tuned_model import Answers


def label_swap(
    explainer: Explainer,
    model: Answers,
    images: Any,
    targets: Any,
    *,
    classes: Sequence[str],
    others: Any = None,
    seed: int = 0,
    **options: Any,
) -> Float64:
    """Correlate the maps of one class with those of another class.

    Maps of different classes may well agree where an image shows a single thing. An explainer whose correlations are
    all 1 says where something stands, not why it is called what it is called.

    Args:
        explainer: any explainer.
        model: a tuned model or its zero-shot reference.
        images: N images, as `Explainer.explain` takes them.
        targets: int [N], index into the classes.
        classes: C names.
        others: int [N], the other class of each image; drawn by default.
        seed: of that draw.
        options: what else `Explainer.explain` takes: `score`, `layers`, `batch_size`.

    Returns:
        Rank correlation of the two maps of each image, float64 [N]; NaN where one holds no evidence.

    Raises:
        InputError: if there is one class only, or another class is the target itself.
    """
    labels = as_labels(targets, len(targets), len(classes))
    drawn = other_classes(labels, len(classes), seed) if others is None else others
    chosen = as_labels(drawn, len(labels), len(classes))
    same = np.flatnonzero(chosen == labels)
    if len(same):
        raise InputError(f"image {same[0]} is to be explained for '{classes[labels[same[0]]]}' both times")
    maps: list[Array] = [
        explainer.explain(model, images, wanted, classes=classes, **options).maps for wanted in (labels, chosen)
    ]
    return rank_correlation(*maps)


def other_classes(targets: Int64, classes: int, seed: int = 0) -> Int64:
    """Draw for each image one of the classes that are not its own, all of them equally often.

    Args:
        targets: int64 [N].
        classes: C, how many there are.
        seed: of the draw.

    Returns:
        int64 [N].

    Raises:
        InputError: if there is one class only.

    Example:
        >>> other_classes(np.array([0, 1, 1, 0]), 2)
        array([1, 0, 0, 1])
    """
    if classes < 2:
        raise InputError("maps of another class need at least two classes")
    steps = draws(seed, "other classes").integers(1, classes, len(targets))
    return (targets + steps) % classes
