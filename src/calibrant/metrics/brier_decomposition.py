"""The Brier score in parts: what calibration costs, what telling samples apart gains, and how hard the task is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from calibrant.metrics.binning import Binning
from calibrant.metrics.classwise import bins_per_class
from calibrant.metrics.scores import checked, scores_of


class BrierParts(NamedTuple):
    """The parts of a Brier score, which is ``reliability - resolution + uncertainty + within``."""

    reliability: float
    resolution: float
    uncertainty: float
    within: float


def brier_decomposition(probs: Any, labels: Any, bins: int = 15, binning: Binning = "width") -> BrierParts:
    """Split the Brier score, in the sum convention, into reliability, resolution and uncertainty.

    Each class is binned by its own probability. With n_cb samples in bin b of class c, p_cb their mean probability,
    f_cb how often the class is true among them and f_c how often it is true at all, summed over classes and bins,

    - reliability is n_cb / N (p_cb - f_cb)^2, lower is better: the squared calibration error of the classes;
    - resolution is n_cb / N (f_cb - f_c)^2, higher is better: how far the bins tell samples apart;
    - uncertainty is f_c (1 - f_c): the score of always giving the share of each class;
    - within is what is left, since probabilities in a bin are not all equal: their variance minus twice their
      covariance with the truth there. It is 0 where they are, and small with many bins.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins per class.
        binning: ``"width"`` or ``"mass"``.

    Returns:
        The four parts; ``reliability - resolution + uncertainty + within`` is `brier`.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option does not exist.

    Source: Murphy, A new vector partition of the probability score, 1973; Stephenson, Coelho and Jolliffe, Two extra
    components in the Brier score decomposition, 2008, for the part within bins.

    Example:
        >>> parts = brier_decomposition([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.25, 0.75]], [0, 0, 1, 0])
        >>> parts.reliability, parts.resolution, parts.uncertainty, parts.within
        (0.125, 0.125, 0.375, 0.0)
    """
    p, y = checked(probs, labels)
    sums = bins_per_class(p, y, bins, binning)
    share = np.bincount(y, minlength=p.shape[1]) / len(y)
    weight = sums.count / len(y)
    reliability = float((weight * sums.gap**2).sum())
    resolution = float((weight * (sums.accuracy - share[:, None]) ** 2).sum())
    uncertainty = float((share * (1 - share)).sum())
    whole = float(scores_of(p, y).brier.mean())
    return BrierParts(reliability, resolution, uncertainty, whole - (reliability - resolution + uncertainty))
