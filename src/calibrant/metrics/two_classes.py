"""What a decision between two classes is judged by: one of them, the positive one, is looked for."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.errors import InputError
from calibrant.metrics.binomial import share
from calibrant.metrics.bootstrap import percentiles, redraw_order, unit_index
from calibrant.metrics.definitions import more_definitions
from calibrant.metrics.intervals import check_options
from calibrant.metrics.ranking import Tally, area_under_roc, average_precision, rank
from calibrant.metrics.scores import checked
from calibrant.metrics.summary import Measured


def sensitivity(probs: Any, labels: Any, positive: int = 1) -> float:
    """Share of the positive samples that are answered as positive: the recall, or true positive rate.

    Args:
        probs: probabilities [N, 2].
        labels: class indices [N].
        positive: index of the positive class.

    Returns:
        0 to 1; NaN without a positive sample.

    Raises:
        InputError: if there are not two classes, the rows are no probabilities, or a label is no class.

    Example:
        >>> sensitivity([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], [1, 1, 0])
        0.5
    """
    said, true, _ = decisions(probs, labels, positive)
    return _mean(said[true])


def specificity(probs: Any, labels: Any, positive: int = 1) -> float:
    """Share of the negative samples that are answered as negative: the true negative rate.

    Args:
        probs: probabilities [N, 2].
        labels: class indices [N].
        positive: index of the positive class.

    Returns:
        0 to 1; NaN without a negative sample.

    Raises:
        InputError: if there are not two classes, the rows are no probabilities, or a label is no class.

    Example:
        >>> specificity([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], [0, 1, 0])
        0.5
    """
    said, true, _ = decisions(probs, labels, positive)
    return _mean(~said[~true])


def positive_predictive_value(probs: Any, labels: Any, positive: int = 1) -> float:
    """Share of the positive answers that are right (PPV): the precision. It holds for the prevalence of this set only.

    Args:
        probs: probabilities [N, 2].
        labels: class indices [N].
        positive: index of the positive class.

    Returns:
        0 to 1; NaN without a positive answer.

    Raises:
        InputError: if there are not two classes, the rows are no probabilities, or a label is no class.

    Example:
        >>> positive_predictive_value([[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]], [1, 0, 0])
        0.5
    """
    said, true, _ = decisions(probs, labels, positive)
    return _mean(true[said])


def negative_predictive_value(probs: Any, labels: Any, positive: int = 1) -> float:
    """Share of the negative answers that are right (NPV). It holds for the prevalence of this set only.

    Args:
        probs: probabilities [N, 2].
        labels: class indices [N].
        positive: index of the positive class.

    Returns:
        0 to 1; NaN without a negative answer.

    Raises:
        InputError: if there are not two classes, the rows are no probabilities, or a label is no class.

    Example:
        >>> negative_predictive_value([[0.8, 0.2], [0.7, 0.3], [0.1, 0.9]], [1, 0, 1])
        0.5
    """
    said, true, _ = decisions(probs, labels, positive)
    return _mean(~true[~said])


def class_auroc(probs: Any, labels: Any, positive: int = 1) -> float:
    """Chance that a positive sample has a higher probability of being positive than a negative one (AUROC).

    Args:
        probs: probabilities [N, 2].
        labels: class indices [N].
        positive: index of the positive class; it does not matter for this measure.

    Returns:
        0 to 1, ties counting half; NaN without samples of both classes. Not to be mixed up with `confidence_auroc`,
        which tells right answers from wrong ones.

    Raises:
        InputError: if there are not two classes, the rows are no probabilities, or a label is no class.

    Source: Hanley and McNeil, The meaning and use of the area under a receiver operating characteristic curve, 1982.

    Example:
        >>> class_auroc([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], [1, 0, 1])
        0.5
    """
    _, true, score = decisions(probs, labels, positive)
    return float(area_under_roc(rank(score, true).tally()))


def class_auprc(probs: Any, labels: Any, positive: int = 1) -> float:
    """Area under the precision-recall curve as average precision: the precision at every positive sample, averaged.

    Args:
        probs: probabilities [N, 2].
        labels: class indices [N].
        positive: index of the positive class.

    Returns:
        0 to 1; the share of positive samples if the score tells nothing. NaN without a positive sample. Samples of
        equal probability pass the threshold together, and points of the curve are not joined by straight lines.

    Raises:
        InputError: if there are not two classes, the rows are no probabilities, or a label is no class.

    Source: Davis and Goadrich, The relationship between precision-recall and ROC curves, 2006, for why not to join
    them.

    Example:
        >>> class_auprc([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]], [1, 0, 0])
        1.0
    """
    _, true, score = decisions(probs, labels, positive)
    return float(average_precision(rank(score, true).tally()))


def two_class_summary(
    probs: Any,
    labels: Any,
    positive: int = 1,
    *,
    name: str = "the positive class",
    units: Any = None,
    level: float | None = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Measured]:
    """Measure a decision between two classes, each number with its interval and its definition.

    Args:
        probs: probabilities [N, 2].
        labels: class indices [N].
        positive: index of the positive class.
        name: what the definitions call it.
        units: one value [N] per sample, equal for samples that depend on each other; None if all are independent.
        level: confidence of the intervals; None for none.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        ``sensitivity``, ``specificity``, ``ppv`` and ``npv`` with the exact binomial interval of `share`,
        ``class_auroc`` and ``class_auprc`` with a percentile interval; NaN where there is nothing to take a share of.

    Raises:
        InputError: if there are not two classes, the rows are no probabilities, a label is no class, or an option is
            out of range.

    Example:
        >>> found = two_class_summary([[0.2, 0.8], [0.6, 0.4], [0.9, 0.1]] * 20, [1, 1, 0] * 20)
        >>> found["sensitivity"]["value"], round(found["sensitivity"]["low"], 2)
        (0.5, 0.34)
    """
    said, true, score = decisions(probs, labels, positive)
    unit, many = unit_index(units, len(true))
    meaning = more_definitions()
    shares = {
        "sensitivity": (said, true),
        "specificity": (~said, ~true),
        "ppv": (true, said),
        "npv": (~true, ~said),
    }
    found = {
        key: (_mean(part[whole]), _exact(part[whole], unit[whole], level)) for key, (part, whole) in shares.items()
    }
    ranking = rank(score, true)
    ends: dict[str, tuple[float, float] | None] = {}
    if level is not None and many > 1:
        check_options(level, resamples)
        redrawn = redraw_order(ranking, unit, resamples, seed, _areas)
        # where every redrawn set gives the same, nothing is known of the spread
        ends = {key: percentiles(values, level) for key, values in redrawn.items() if np.ptp(values) != 0}
    found |= {key: (float(value), ends.get(key)) for key, value in _areas(ranking.tally()).items()}
    result = {}
    for key, (value, pair) in found.items():
        low, high = pair or (None, None)
        result[key] = Measured(value=value, low=low, high=high, definition=meaning[key].format(positive=name))
    return result


def _areas(tally: Tally) -> dict[str, Float64]:
    return {"class_auroc": area_under_roc(tally), "class_auprc": average_precision(tally)}


def _exact(part: Array, unit: Int64, level: float | None) -> tuple[float, float] | None:
    if level is None or len(part) == 0:
        return None
    found = share(part, unit, level)
    return found.low, found.high


def decisions(probs: Any, labels: Any, positive: int = 1) -> tuple[Array, Array, Float64]:
    """Check a decision between two classes.

    Args:
        probs: probabilities [N, 2].
        labels: class indices [N].
        positive: index of the positive class.

    Returns:
        Whether each answer and each label is positive, bool [N], and the probability of it, float64 [N]. At a tie the
        answer is class 0.

    Raises:
        InputError: if there are not two classes, the rows are no probabilities, or a label is no class.
    """
    p, y = checked(probs, labels)
    if p.shape[1] != 2:
        raise InputError(f"this measure is for two classes, not {p.shape[1]}; per_class measures each of many")
    if isinstance(positive, bool) or positive not in (0, 1):
        raise InputError(f"the positive class is 0 or 1, not {positive!r}")
    return p.argmax(axis=1) == positive, y == positive, p[:, positive].astype(np.float64)


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")
