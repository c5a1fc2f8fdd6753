"""The calibration error in two parts: where a model is too sure, and where it is not sure enough."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from calibrant.metrics.answers import answers
from calibrant.metrics.binning import AnyBinning, Bins, binned


class ConfidenceSplit(NamedTuple):
    """The two parts of a calibration error; their sum is the error, their difference the signed gap."""

    over: float
    under: float


def confidence_split(probs: Any, labels: Any, bins: int = 15, binning: AnyBinning = "width") -> ConfidenceSplit:
    """Split the expected calibration error into over-confidence and under-confidence.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins.
        binning: ``"width"``, ``"mass"`` or ``"adaptive"``, as in `calibration_error`.

    Returns:
        ``over``, the part of the error from bins whose mean confidence is above their accuracy, and ``under``, the part
        from the others. ``over + under`` is the ECE with these bins, ``over - under`` is `signed_gap`.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option does not exist.

    Example:
        >>> split = confidence_split([[0.75, 0.25], [0.75, 0.25], [0.5, 0.5]], [0, 1, 0], bins=4)
        >>> round(split.over, 4), round(split.under, 4)
        (0.1667, 0.1667)
    """
    return split_of(binned(*answers(probs, labels), bins, binning))


def split_of(bins: Bins) -> ConfidenceSplit:
    """Compute `confidence_split` from filled bins [bins]."""
    too_sure = bins.weight * -bins.gap
    return ConfidenceSplit(float(np.maximum(too_sure, 0).sum()), float(np.maximum(-too_sure, 0).sum()))
