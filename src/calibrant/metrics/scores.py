"""Scores per sample and their means: accuracy, confidence, negative log-likelihood, Brier score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Array, Float64, Int64, as_labels, as_matrix, as_probabilities, log_softmax

ROWS = 4096  # rows that are turned into float64 at a time, so that the whole never is
VALUES = 2**17  # how many are scored at a time: few enough to stay in the processor's cache from one step to the next


@dataclass(frozen=True, eq=False)
class Scores:
    """What the metrics need of each sample, so that [N, C] is read once.

    Args:
        confidence: float64 [N], the largest probability.
        correct: bool [N], whether its class, at ties the one of lowest index, is the label.
        nll: float64 [N], minus the logarithm of the label's probability; infinite where that is 0.
        brier: float64 [N], the squared error summed over classes.
    """

    confidence: Float64
    correct: npt.NDArray[np.bool_]
    nll: Float64
    brier: Float64

    def __len__(self) -> int:
        return len(self.confidence)

    def subset(self, chosen: Array) -> Scores:
        """Choose some of the samples.

        Args:
            chosen: positions, or bool [N].

        Returns:
            Their scores.
        """
        return Scores(self.confidence[chosen], self.correct[chosen], self.nll[chosen], self.brier[chosen])


def top_label(probs: Array, labels: Int64) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """Reduce checked probabilities to the confidence and correctness of the answer.

    Args:
        probs: probabilities [N, C].
        labels: int64 [N].

    Returns:
        The confidence, float64 [N], and whether the answer is right, bool [N]; ties go to the lowest index.

    Example:
        >>> top_label(np.array([[0.5, 0.5]]), np.array([1]))
        (array([0.5]), array([False]))
    """
    answer = probs.argmax(axis=1)
    confidence = probs[np.arange(len(probs)), answer].astype(np.float64)
    return confidence, answer == labels


def sample_scores(probs: Any, labels: Any) -> Scores:
    """Check probabilities and labels, and score each sample.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        The scores.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> sample_scores([[0.5, 0.5]], [0]).brier
        array([0.5])
    """
    return scores_of(*checked(probs, labels))


def scores_of(p: Array, y: Int64) -> Scores:
    """Score each sample from checked probabilities [N, C] and labels int64 [N]."""
    confidence, of_label, squares = (np.empty(len(p)) for _ in range(3))
    correct = np.empty(len(p), dtype=bool)
    step = max(1, VALUES // p.shape[1])
    for start in range(0, len(p), step):
        rows = slice(start, start + step)
        block, labels = p[rows], y[rows]
        each, answer = np.arange(len(block)), block.argmax(axis=1)
        confidence[rows], of_label[rows] = block[each, answer], block[each, labels]
        correct[rows] = answer == labels
        wide = block.astype(np.float64, copy=False)
        squares[rows] = np.einsum("nc,nc->n", wide, wide)
    with np.errstate(divide="ignore"):
        log = -np.log(of_label)
    return Scores(confidence, correct, log, squares - 2 * of_label + 1)


def checked(probs: Any, labels: Any) -> tuple[Array, Int64]:
    """Check probabilities and the labels that belong to them.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        float32 or float64 [N, C], and int64 [N].

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.
    """
    p = as_probabilities(probs)
    return p, as_labels(labels, *p.shape)


def accuracy(probs: Any, labels: Any) -> float:
    """Share of samples whose most probable class is the label; ties go to the lowest index.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to 1.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> accuracy([[0.9, 0.1], [0.4, 0.6]], [0, 0])
        0.5
    """
    return float(top_label(*checked(probs, labels))[1].mean())


def mean_confidence(probs: Any) -> float:
    """Mean of the largest probability; equal to the accuracy if the model is calibrated on average.

    Args:
        probs: probabilities [N, C].

    Returns:
        1 / C to 1.

    Raises:
        InputError: if the rows are no probabilities.

    Example:
        >>> mean_confidence([[0.75, 0.25], [0.5, 0.5]])
        0.625
    """
    return float(as_probabilities(probs).max(axis=1).mean(dtype=np.float64))


def nll(probs: Any, labels: Any) -> float:
    """Mean negative log-likelihood of the labels, in nats.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to infinity; infinite as soon as one label has probability 0. `nll_from_logits` does not underflow.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> round(nll([[0.5, 0.5]], [0]), 4)
        0.6931
    """
    p, y = checked(probs, labels)
    with np.errstate(divide="ignore"):
        return float(-np.log(p[np.arange(len(p)), y].astype(np.float64)).mean())


def nll_from_logits(logits: Any, labels: Any) -> float:
    """Mean negative log-likelihood of the labels, in nats, exactly from logits.

    Args:
        logits: finite numbers [N, C].
        labels: class indices [N].

    Returns:
        0 to infinity, finite for finite logits.

    Raises:
        InputError: if a logit is not finite, or a label is no class.

    Example:
        >>> nll_from_logits([[0.0, 2000.0]], [0])
        2000.0
    """
    z = as_matrix(logits, "logits")
    y = as_labels(labels, *z.shape)
    total = 0.0
    for start in range(0, len(z), ROWS):
        block = log_softmax(z[start : start + ROWS])
        total -= float(block[np.arange(len(block)), y[start : start + ROWS]].sum())
    return total / len(z)


def brier(probs: Any, labels: Any) -> float:
    """Mean squared distance between the probabilities and the one-hot label, summed over classes.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to 2 (the sum convention; twice the other one for two classes).

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Source: Brier, Verification of forecasts expressed in terms of probability, 1950.

    Example:
        >>> brier([[0.5, 0.5], [1.0, 0.0]], [0, 1])
        1.25
    """
    return float(sample_scores(probs, labels).brier.mean())
