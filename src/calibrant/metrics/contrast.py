"""What CAC argues with: how far the true class stands out, and whether a weight finds the over-confident samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import as_floats, as_labels, as_matrix
from calibrant.errors import InputError
from calibrant.metrics.scores import checked, top_label


def contrast(similarities: Any, labels: Any) -> float:
    """How far the true class stands out: its mean similarity minus the mean of the largest to any other class.

    The paper finds it low where calibration error on unseen classes is high. One number per set; it needs labels, so no
    calibrator can use it.

    Args:
        similarities: [N, C] of images and classes: cosines, or logits for a contrast in logits.
        labels: class indices [N].

    Returns:
        Negative where wrong classes are the more similar ones on average; -2 to 2 for cosines.

    Raises:
        InputError: if a similarity is not finite, or a label is no class.

    Source: Lv et al., Contrast-Aware Calibration for Fine-Tuned CLIP, 2025, equation 1 (as summaries of the paper give
    it).

    Example:
        >>> contrast([[0.5, 0.25, 0.0], [0.25, 0.5, 0.0]], [0, 0])
        0.0
    """
    s = as_matrix(similarities, "similarities")
    y = as_labels(labels, *s.shape)
    rows = np.arange(len(s))
    others = s.astype(np.float64)
    of_label = others[rows, y]
    others[rows, y] = -np.inf
    return float(of_label.mean() - others.max(axis=1).mean())


def weight_correlation(weights: Any, probs: Any, labels: Any) -> float:
    """Pearson correlation of a weight per sample with over-confidence, which is confidence minus 1 if right, else 0.

    A weight that is to lower confidence where it is too high must be negatively correlated with it.

    Args:
        weights: [N], such as `ContrastAware.sample_weights` gives them.
        probs: probabilities [N, C] before the weight is used.
        labels: class indices [N].

    Returns:
        -1 to 1; NaN where all weights or all over-confidences are equal.

    Raises:
        InputError: if the lengths differ, the rows are no probabilities, or a label is no class.

    Example:
        >>> weight_correlation([0.5, 1.0], [[0.75, 0.25], [0.75, 0.25]], [1, 0])
        -1.0
    """
    p, y = checked(probs, labels)
    w = as_floats(weights, "weights", (None,)).astype(np.float64)
    if len(w) != len(p):
        raise InputError(f"there are {len(p)} rows of probabilities but {len(w)} weights")
    confidence, correct = top_label(p, y)
    over = confidence - correct
    a, b = w - w.mean(), over - over.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    # what rounding leaves of equal numbers does not count as spread
    if np.ptp(w) <= 1e-12 * np.abs(w).max() or np.ptp(over) <= 1e-12 or spread == 0:
        return float("nan")
    return float(np.clip(a @ b / spread, -1, 1))
