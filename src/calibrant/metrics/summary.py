"""All measures of one set at once."""

from __future__ import annotations

from typing import Any, TypedDict

from calibrant.metrics.binning import assign, bin_edges, fill
from calibrant.metrics.calibration import error_of
from calibrant.metrics.definitions import definitions
from calibrant.metrics.intervals import intervals_of
from calibrant.metrics.noise_floor import floor_of
from calibrant.metrics.scores import Scores, sample_scores


class Measured(TypedDict):
    """A value with its interval and its definition; the ends are None where there is no interval."""

    value: float
    low: float | None
    high: float | None
    definition: str


def summary(probs: Any, labels: Any, *, bins: int = 15) -> dict[str, float]:
    """Measure accuracy and calibration.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins of equal width the calibration errors have.

    Returns:
        ``accuracy``, ``ece``, ``ece_debiased``, ``nll``, ``brier``, ``mean_confidence`` and
        ``ece_noise_floor``; `definitions` says what each is.

    Raises:
        InputError: if the rows are no probabilities, or a label is no class.

    Example:
        >>> round(summary([[0.9, 0.1], [0.9, 0.1]], [0, 1])["ece"], 3)
        0.4
    """
    return summary_of(sample_scores(probs, labels), bins)


def summary_with_intervals(
    probs: Any,
    labels: Any,
    *,
    bins: int = 15,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Measured]:
    """Measure accuracy and calibration, each with its interval and its definition.

    Both calibration errors share the interval of the true error, which is corrected for the upward bias of
    the plain ECE; with little data and a well calibrated model the plain ECE may therefore lie above its
    own interval.

    Args:
        probs: probabilities [N, C].
        labels: class indices [N].
        bins: how many bins of equal width the calibration errors have.
        units: one value [N] per sample, equal for samples that depend on each other (drawing, patient);
            None if all are independent.
        level: confidence of the intervals.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        The measures of `summary`; JSON can hold it unless the negative log-likelihood is infinite.

    Raises:
        InputError: if the rows are no probabilities, a label is no class, or an option is out of range.

    Example:
        >>> found = summary_with_intervals([[0.9, 0.1]] * 50, [0] * 45 + [1] * 5, resamples=100)
        >>> found["ece"]["low"], round(found["accuracy"]["high"], 2)
        (0.0, 0.97)
    """
    return measured_scores(sample_scores(probs, labels), bins, units, level, resamples, seed)


def summary_of(scores: Scores, bins: int) -> dict[str, float]:
    """Compute `summary` from scores.

    Args:
        scores: of N samples.
        bins: bins of equal width.

    Returns:
        Measure to value.
    """
    index = assign(scores.confidence, bin_edges(scores.confidence, bins))
    sums = fill(index, bins, scores.confidence, scores.correct)
    return {
        "accuracy": float(scores.correct.mean()),
        "ece": error_of(sums),
        "ece_debiased": error_of(sums, debias=True),
        "nll": float(scores.nll.mean()),
        "brier": float(scores.brier.mean()),
        "mean_confidence": float(scores.confidence.mean()),
        "ece_noise_floor": floor_of(scores.confidence, bins),
    }


def measured_scores(
    scores: Scores,
    bins: int = 15,
    units: Any = None,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Measured]:
    """Compute `summary_with_intervals` from scores.

    Args:
        scores: of N samples.
        bins: bins of equal width.
        units: [N] or None.
        level: confidence of the intervals.
        resamples: redrawn sets.
        seed: of the redraws.

    Returns:
        Measure to value, interval and definition.
    """
    found = intervals_of(scores, bins, units, level, resamples, seed)
    found["ece_debiased"] = found["ece"]
    meaning = definitions(bins)
    result: dict[str, Measured] = {}
    for name, value in summary_of(scores, bins).items():
        low, high = found.get(name) or (None, None)
        result[name] = Measured(value=value, low=low, high=high, definition=meaning[name])
    return result
