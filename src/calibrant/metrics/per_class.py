"""What becomes of each class: recall, precision, F1 and their means, which count rare classes like frequent ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.metrics.scores import checked


@dataclass(frozen=True, eq=False)
class PerClass:
    """Counts of each class; arrays [..., C].

    Args:
        labelled: float64, samples whose label is the class.
        answered: float64, samples whose answer is the class.
        right: float64, samples of which both are true.
    """

    labelled: Float64
    answered: Float64
    right: Float64

    @property
    def recall(self) -> Float64:
        """Share of the samples of a class that are answered with it; NaN for a class without a sample."""
        return _share(self.right, self.labelled)

    @property
    def precision(self) -> Float64:
        """Share of right answers among those that name a class; NaN for a class that is never answered."""
        return _share(self.right, self.answered)

    @property
    def f1(self) -> Float64:
        """Harmonic mean of recall and precision; NaN for a class that is neither labelled nor answered."""
        return _share(2 * self.right, self.labelled + self.answered)


def per_class(probs: Any, labels: Any) -> PerClass:
    """Count how often each class is the label, the answer and both.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        The counts, and from them ``recall``, ``precision`` and ``f1``, float64 [C] each.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> found = per_class([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.3, 0.7, 0.0]], [0, 1, 1])
        >>> found.recall, found.precision
        (array([1. , 0.5, nan]), array([0.5, 1. , nan]))
    """
    p, y = checked(probs, labels)
    return count_classes(p.argmax(axis=1), y, p.shape[1])


def balanced_accuracy(probs: Any, labels: Any) -> float:
    """Mean recall of the classes that have a sample.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to 1; the accuracy if all classes had equally many samples.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> balanced_accuracy([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [0, 0, 0, 1])
        0.5
    """
    return float(mean_recall(per_class(probs, labels)))


def macro_f1(probs: Any, labels: Any) -> float:
    """Mean F1 of the classes that are labelled or answered at least once.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to 1.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> round(macro_f1([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [0, 0, 0, 1]), 4)
        0.4286
    """
    return float(mean_f1(per_class(probs, labels)))


def count_classes(answer: Int64, label: Int64, classes: int) -> PerClass:
    """Count answers, int64 [N], and labels, int64 [N], of each class."""
    right = label[answer == label]
    return PerClass(*(np.bincount(chosen, minlength=classes).astype(np.float64) for chosen in (label, answer, right)))


def mean_recall(found: PerClass) -> Float64:
    """Average the recall over the classes that have a sample, [...]."""
    return _mean(found.recall, found.labelled > 0)


def mean_f1(found: PerClass) -> Float64:
    """Average the F1 over the classes that are labelled or answered, [...]."""
    return _mean(found.f1, found.labelled + found.answered > 0)


def _mean(values: Float64, there: Any) -> Float64:
    result: Float64 = np.where(there, values, 0).sum(axis=-1) / there.sum(axis=-1)
    return result


def _share(part: Float64, whole: Float64) -> Float64:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
