"""Whether confidence tells right answers from wrong ones, and what is gained by answering only when it is high."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64
from calibrant.errors import InputError
from calibrant.metrics.answers import answers
from calibrant.metrics.ranking import (
    Tally,
    area_under_risk,
    area_under_roc,
    false_positive_rate,
    largest_coverage,
    least_area_under_risk,
    rank,
)

RECALL = 0.95  # of the right answers, where FPR@95 is read off


def confidence_auroc(probs: Any, labels: Any) -> float:
    """Chance that a right answer has a higher confidence than a wrong one, ties counting half (AUROC of confidence).

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to 1, 0.5 where confidence tells nothing; NaN where all answers are right or all are wrong.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Source: Hendrycks and Gimpel, A baseline for detecting misclassified and out-of-distribution examples, 2017.

    Example:
        >>> confidence_auroc([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], [0, 1, 0])
        0.5
    """
    return float(area_under_roc(_tally(probs, labels)))


def fpr_at_95(probs: Any, labels: Any, recall: float = RECALL) -> float:
    """Share of the wrong answers that remain when the threshold keeps 95 % of the right ones (FPR@95).

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        recall: share of the right answers that must stay, above 0 and at most 1; the threshold is the highest
            confidence at which it is reached, and answers with that confidence stay.

    Returns:
        0 to 1, lower is better; NaN where all answers are right or all are wrong.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or `recall` is out of range.

    Source: Liang, Li and Srikant, Enhancing the reliability of out-of-distribution image detection in neural networks,
    2018, with right answers as the positives.

    Example:
        >>> fpr_at_95([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [0, 1, 0, 1])
        0.5
    """
    if not 0 < recall <= 1:
        raise InputError(f"recall must be above 0 and at most 1, not {recall}")
    return float(false_positive_rate(_tally(probs, labels), recall))


def aurc(probs: Any, labels: Any) -> float:
    """Area under the risk-coverage curve: the share of wrong answers among the k surest, averaged over k = 1..N.

    Answers of equal confidence come in random order, of which the expectation is given, so that the order of the
    samples does not matter.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to 1, lower is better. It falls with the error rate as well as with a better order; `e_aurc` shows the order.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Source: Geifman, Uziel and El-Yaniv, Bias-reduced uncertainty estimation for deep neural classifiers, 2019, as a sum
    over samples; the expectation over ties is our own.

    Example:
        >>> aurc([[0.9, 0.1], [0.8, 0.2]], [0, 1])
        0.25
    """
    return float(area_under_risk(_tally(probs, labels)))


def e_aurc(probs: Any, labels: Any) -> float:
    """`aurc` minus the least that is possible with as many wrong answers: all of them below all right ones (E-AURC).

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].

    Returns:
        0 to 1, 0 where confidence puts every right answer above every wrong one.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Source: Geifman, Uziel and El-Yaniv 2019; the least is the exact sum over N samples, of which the paper gives the
    limit r + (1 - r) ln(1 - r) for an error rate r.

    Example:
        >>> e_aurc([[0.9, 0.1], [0.8, 0.2]], [1, 0])
        0.5
    """
    tally = _tally(probs, labels)
    return float(_excess(tally, area_under_risk(tally)))


def coverage_at_risk(probs: Any, labels: Any, risk: float) -> float:
    """Largest share of samples that can be answered, the surest first, with at most a given share of wrong answers.

    It is read off these samples and promises nothing about others: a threshold that is chosen so is too hopeful.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        risk: the share of wrong answers that may be among the answered, 0 to 1.

    Returns:
        0 to 1; 0 where even the surest answers are wrong more often. Answers of equal confidence stay together.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or `risk` is out of range.

    Source: Geifman and El-Yaniv, Selective classification for deep neural networks, 2017 (coverage and risk).

    Example:
        >>> coverage_at_risk([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [0, 0, 1, 0], 0.25)
        1.0
        >>> coverage_at_risk([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]], [0, 0, 1, 0], 0.1)
        0.5
    """
    if not 0 <= risk <= 1:
        raise InputError(f"a risk is a share from 0 to 1, not {risk}")
    return float(largest_coverage(_tally(probs, labels), risk))


def selective_of(confidence: Float64, correct: Array) -> dict[str, float]:
    """Compute what `summary` says of the order of confidences, float64 [N], and correctness, bool [N]."""
    return {name: float(value) for name, value in selective(rank(confidence, correct).tally()).items()}


def selective(tally: Tally) -> dict[str, Float64]:
    """Compute the measures of the order, by their names in `summary`.

    Args:
        tally: of the answers, right ones positive, [..., G].

    Returns:
        Name to values [...].
    """
    area = area_under_risk(tally)
    return {
        "auroc": area_under_roc(tally),
        "fpr95": false_positive_rate(tally, RECALL),
        "aurc": area,
        "e_aurc": _excess(tally, area),
    }


def _excess(tally: Tally, area: Float64) -> Float64:
    # rounding may leave a little less than nothing
    return np.maximum(area - least_area_under_risk(tally), 0)


def _tally(probs: Any, labels: Any) -> Tally:
    return rank(*answers(probs, labels)).tally()
