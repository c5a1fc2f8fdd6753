"""Calibration errors as published code computes them, for comparison with the numbers of papers and nothing else.

Each differs from the definition that its paper names; docs/why-eces-differ.md says how and by how much.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_floats
from calibrant.errors import InputError
from calibrant.metrics.answers import answers
from calibrant.metrics.binning import fill
from calibrant.metrics.calibration import error_of

PUBLISHED = {
    "batch_mean_ece": "CaRot release: ECE of every batch in the order of the file, 10 left-closed bins and one for "
    "confidence 1, averaged over batches by their size",
    "dac_ece": "DAC release: ECE, 10 left-closed bins; confidence 1 keeps its weight but counts in no bin",
    "dac_ace": "DAC release: ECE with 10 left-closed bins between quantiles of the confidence",
    "dac_mce": "DAC release: largest gap times the share of its bin, 10 left-closed bins",
    "dac_piece": "DAC release: gaps in 10 quantile bins of proximity x 10 left-closed bins of confidence",
}


def published_errors(probs: Any, labels: Any, *, batch: int = 512, proximity: Any = None) -> dict[str, float]:
    """Compute calibration errors as published code does.

    Args:
        probs: probabilities [N, C], in the order of the file.
        labels: class indices [N].
        batch: how many samples a batch has.
        proximity: how near each sample is to others, [N]; without it there is no ``dac_piece``.

    Returns:
        Name to value; `PUBLISHED` says what each is.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option is out of range.

    Example:
        >>> published_errors([[0.75, 0.25], [0.75, 0.25]], [0, 1], batch=1)["batch_mean_ece"]
        0.5
    """
    found = {
        "batch_mean_ece": batch_mean_ece(probs, labels, batch),
        "dac_ece": dac_ece(probs, labels),
        "dac_ace": dac_ace(probs, labels),
        "dac_mce": dac_mce(probs, labels),
    }
    return found if proximity is None else {**found, "dac_piece": dac_piece(probs, labels, proximity)}


def batch_mean_ece(probs: Any, labels: Any, batch: int = 512, bins: int = 10) -> float:
    """ECE of each batch of consecutive samples, averaged: what the released evaluation of CaRot reports.

    Every batch adds its own noise, so that a calibrated model, too, seems to be off by about 0.03 with 512 samples per
    batch and by more with fewer. It depends on the order of the samples. Bins are those of torchmetrics: closed on the
    left, with edges in float32, and one more bin for confidence exactly 1.

    Args:
        probs: probabilities [N, C], in the order of the file.
        labels: class indices [N].
        batch: how many samples a batch has; the last one may have fewer and counts by its size.
        bins: how many bins of equal width.

    Returns:
        0 to 1.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or a number is not positive.

    Source: the released code of Oh et al., Towards calibrated robust fine-tuning of vision-language models (CaRot),
    2024.

    Example:
        >>> batch_mean_ece([[0.75, 0.25], [0.75, 0.25]], [0, 1], batch=1)
        0.5
    """
    _at_least_one(batch=batch, bins=bins)
    confidence, correct = answers(probs, labels)
    place = np.searchsorted(_torch_edges(bins), confidence.astype(np.float32), side="right") - 1
    total = 0.0
    for start in range(0, len(confidence), batch):
        part = slice(start, start + batch)
        total += len(confidence[part]) * error_of(fill(place[part], bins + 1, confidence[part], correct[part]))
    return total / len(confidence)


def dac_ece(probs: Any, labels: Any, bins: int = 10) -> float:
    """ECE of the DAC release: confidence exactly 1 counts in no bin, but in the weight of the last one.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins of equal width, closed on the left.

    Returns:
        0 to 1; below the ECE where many answers are certain.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or `bins` is not positive.

    Source: the released code of Wang et al., Open-vocabulary calibration for fine-tuned CLIP (DAC), 2024.

    Example:
        >>> dac_ece([[1.0, 0.0], [1.0, 0.0]], [1, 1])
        0.0
    """
    confidence, correct = answers(probs, labels)
    place = _left_closed(confidence, bins)
    weight = np.bincount(place, minlength=bins) / len(place)
    below = confidence < 1
    return float(weight @ np.abs(fill(place[below], bins, confidence[below], correct[below]).gap))


def dac_ace(probs: Any, labels: Any, bins: int = 10) -> float:
    """ECE with bins between quantiles of the confidence, as the DAC release computes it.

    It differs from ``calibration_error(..., binning="mass")`` in edges that are interpolated between samples and bins
    that are closed on the left.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many; those without width are left out.

    Returns:
        0 to 1.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or `bins` is not positive.

    Source: see `dac_ece`.

    Example:
        >>> round(dac_ace([[0.75, 0.25], [0.9, 0.1]], [0, 1], bins=2), 3)
        0.575
    """
    confidence, correct = answers(probs, labels)
    return error_of(fill(_between_quantiles(confidence, bins), bins, confidence, correct))


def dac_mce(probs: Any, labels: Any, bins: int = 10) -> float:
    """Largest gap times the share of its bin: what the DAC release calls the maximum calibration error.

    The maximum calibration error is ``calibration_error(..., norm="max")``, which no share makes smaller.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins of equal width, closed on the left.

    Returns:
        0 to 1; never above the ECE with the same bins.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or `bins` is not positive.

    Source: see `dac_ece`.

    Example:
        >>> dac_mce([[0.75, 0.25], [0.25, 0.75]], [0, 0])
        0.25
    """
    confidence, correct = answers(probs, labels)
    sums = fill(_left_closed(confidence, bins), bins, confidence, correct)
    return float((sums.weight * np.abs(sums.gap)).max())


def dac_piece(probs: Any, labels: Any, proximity: Any, bins: int = 10, proximity_bins: int = 10) -> float:
    """PIECE as the DAC release computes it: `piece` with bins closed on the left and interpolated quantiles.

    The release measures proximity to the images that it validates on, with 5 neighbours, or 10 on ImageNet.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        proximity: how near each sample is to others, [N].
        bins: how many bins of confidence, of equal width.
        proximity_bins: how many bins of proximity.

    Returns:
        0 to 1.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, a proximity is not finite, or a number of
            bins is not positive.

    Source: see `dac_ece`.

    Example:
        >>> dac_piece([[0.75, 0.25], [0.75, 0.25]], [0, 1], [0.25, 0.5])
        0.5
    """
    confidence, correct = answers(probs, labels)
    near = as_floats(proximity, "proximity", (None,))
    if len(near) != len(confidence):
        raise InputError(f"there are {len(confidence)} rows of probabilities but {len(near)} values of proximity")
    index = _between_quantiles(near, proximity_bins) * bins + _left_closed(confidence, bins)
    return error_of(fill(index, bins * proximity_bins, confidence, correct))


def arithmetic_hm(base: float, new: float) -> float:
    """Mean of a calibration error on base and on new classes, which tables of the DOR paper head "HM".

    For accuracies the column is the harmonic mean that its name says.

    Args:
        base: the error on base classes.
        new: the error on new classes.

    Returns:
        The arithmetic mean.

    Source: Wang et al., Understanding and mitigating miscalibration in prompt tuning for vision-language models (DOR),
    2025: the triples of its main table.

    Example:
        >>> round(arithmetic_hm(3.07, 14.58), 3)
        8.825
    """
    return (base + new) / 2


def _torch_edges(bins: int) -> Array:
    """Divide [0, 1] as torch.linspace does in float32: steps are counted from the nearer end, and rounded once."""
    number, step = np.arange(bins + 1), float(np.float32(1 / bins))
    return np.where(number < (bins + 1) // 2, step * number, 1 - step * (bins - number)).astype(np.float32)


def _left_closed(confidence: Float64, bins: int) -> Int64:
    """Find the bins of equal width that are closed on the left, the last one on both sides."""
    _at_least_one(bins=bins)
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    return np.searchsorted(inner, confidence, side="right").astype(np.int64, copy=False)


def _between_quantiles(values: Array, bins: int) -> Int64:
    """Find the bins between quantiles, as scikit-learn's KBinsDiscretizer does: bins without width are left out."""
    _at_least_one(bins=bins)
    edges = np.percentile(values, np.linspace(0, 100, bins + 1))
    edges = edges[np.append(True, np.diff(edges) > 1e-8)]
    return np.searchsorted(edges[1:-1], values, side="right").astype(np.int64, copy=False)


def _at_least_one(**counts: int) -> None:
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise InputError(f"{name} must be a positive integer, not {count!r}")
