"""Which images people look at: right and wrong answers in shares of their own, in random order."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_array
from calibrant.errors import InputError


def choose_for_review(correct: Any, images: int = 100, *, evidence: Any = None, seed: int = 0) -> Int64:
    """Draw the images to review, half of them answered rightly and half wrongly, and mix them.

    IR rests on the answers that are wrong, of which a plain draw holds few. `review_weights` undoes the unequal shares.
    Whoever judges only the first images of the order has judged a random part of both.

    Args:
        correct: bool [N], whether the model answered rightly.
        images: how many to draw; all if there are fewer. Where one kind is rare, the other fills up.
        evidence: bool [N]; images without evidence are never drawn, since there is nothing to judge. None: all have it.
        seed: of the draw. A larger draw with the same seed holds the smaller one.

    Returns:
        int64, indices of the chosen images in the order in which they are shown.

    Raises:
        InputError: if there is nothing to draw from, `images` is no positive number, or the lengths differ.

    Example:
        >>> correct = np.arange(1000) >= 30
        >>> chosen = choose_for_review(correct, 100)
        >>> len(chosen), int((~correct[chosen]).sum())
        (100, 30)
    """
    if images < 1:
        raise InputError(f"a review needs at least one image, not {images}")
    right, shown = checked_answers(correct, evidence)
    if not shown.any():
        raise InputError("no image has evidence: every heat map is constant or not finite, so there is none to review")
    generator = np.random.default_rng(seed)
    rights, wrongs = (generator.permutation(np.flatnonzero(shown & kind)) for kind in (right, ~right))
    wrong = min(len(wrongs), max(images // 2, images - len(rights)))
    chosen = np.concatenate([rights[: images - wrong], wrongs[:wrong]])
    return generator.permutation(chosen).astype(np.int64)


def review_weights(correct: Any, judged: Any, *, evidence: Any = None) -> Float64:
    """Say how many images each judged image stands for: one over its chance to be judged.

    Args:
        correct: bool [N], of all images.
        judged: int [n], indices of the judged images, each once.
        evidence: bool [N], as for `choose_for_review`.

    Returns:
        float64 [n]: right answers that have evidence over right answers that were judged, and the same for wrong ones.

    Raises:
        InputError: if an index is no image with evidence, comes twice, or the lengths differ.

    Source: Horvitz and Thompson, A generalization of sampling without replacement from a finite universe, 1952,
    stratified by correctness.

    Example:
        >>> review_weights([True] * 8 + [False] * 2, [0, 1, 9])
        array([4., 4., 2.])
    """
    right, shown = checked_answers(correct, evidence)
    index = as_array(judged, "judged").astype(np.int64)
    if len(np.unique(index)) < len(index):
        raise InputError("an image was judged twice; combine its judgements first")
    if len(index) and (index.min() < 0 or index.max() >= len(right) or not shown[index].all()):
        raise InputError(f"judged must be indices of images with evidence, out of {len(right)}")
    weights = np.zeros(len(index))
    for kind in (right, ~right):
        of_kind = kind[index]
        weights[of_kind] = (kind & shown).sum() / max(of_kind.sum(), 1)
    return weights


def checked_answers(correct: Any, evidence: Any) -> tuple[Array, Array]:
    """Turn correctness and evidence into bool [N] each, or say that their lengths differ."""
    right = as_array(correct, "correct").astype(bool)
    shown = np.ones(len(right), bool) if evidence is None else as_array(evidence, "evidence").astype(bool)
    if right.ndim != 1 or shown.shape != right.shape:
        raise InputError(f"correct {list(right.shape)} and evidence {list(shown.shape)} need one value per image")
    return right, shown
