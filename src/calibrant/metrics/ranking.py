"""What the order of a score tells: samples sorted by it, tied ones together, and measures that read nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from calibrant.arrays import Array, Float64, Int64


@dataclass(frozen=True, eq=False)
class Ranking:
    """Samples in falling order of a score, without the score.

    Args:
        order: int64 [N], positions of the samples.
        starts: int64 [G], where in `order` each group of tied samples begins.
        positive: bool [N], in that order, what the score is to find.
    """

    order: Int64
    starts: Int64
    positive: Array

    def tally(self, times: Float64 | None = None) -> Tally:
        """Count the samples of each group.

        Args:
            times: how often each sample counts, float64 [..., N]; once by default.

        Returns:
            The counts [..., G].
        """
        drawn = np.ones(len(self.order)) if times is None else times[..., self.order]
        positive = drawn * self.positive
        if len(self.starts) == len(self.order):
            return Tally(drawn, positive)
        return Tally(np.add.reduceat(drawn, self.starts, axis=-1), np.add.reduceat(positive, self.starts, axis=-1))


@dataclass(frozen=True, eq=False)
class Tally:
    """How many samples each group of tied ones holds, in falling order of the score.

    Args:
        count: float64 [..., G], whole numbers; 0 for a group that was not drawn.
        positive: float64 [..., G], how many of them are positive.
    """

    count: Float64
    positive: Float64

    @property
    def negative(self) -> Float64:
        """How many of each group are not positive."""
        return self.count - self.positive


def rank(score: Float64, positive: Array) -> Ranking:
    """Sort samples by a score.

    Args:
        score: float64 [N].
        positive: bool [N].

    Returns:
        The samples in falling order.

    Example:
        >>> rank(np.array([0.2, 0.9, 0.2]), np.array([True, False, False])).starts
        array([0, 1])
    """
    order = np.argsort(-score, kind="stable")
    falling = score[order]
    starts = np.flatnonzero(np.append(True, falling[1:] != falling[:-1]))
    return Ranking(order, starts, positive[order])


def area_under_roc(tally: Tally) -> Float64:
    """Chance that a positive sample lies above a negative one, ties counting half; NaN without both kinds, [...]."""
    above = np.cumsum(tally.positive, axis=-1) - tally.positive / 2
    return _share((above * tally.negative).sum(axis=-1), _pairs(tally))


def average_precision(tally: Tally) -> Float64:
    """Precision at every threshold, averaged by the positive samples it adds; NaN where none is positive, [...]."""
    precision = np.cumsum(tally.positive, axis=-1) / np.maximum(np.cumsum(tally.count, axis=-1), 1)
    return _share((precision * tally.positive).sum(axis=-1), tally.positive.sum(axis=-1))


def false_positive_rate(tally: Tally, recall: float) -> Float64:
    """Share of negative samples at or above the highest threshold that keeps a share of the positive ones, [...]."""
    kept, let_in = np.cumsum(tally.positive, axis=-1), np.cumsum(tally.negative, axis=-1)
    last = _share(kept, kept[..., -1:]) >= recall
    at = np.argmax(last, axis=-1)[..., None]
    rate = _share(np.take_along_axis(let_in, at, axis=-1), let_in[..., -1:])[..., 0]
    return np.where(kept[..., -1] > 0, rate, np.nan)


def area_under_risk(tally: Tally) -> Float64:
    """Share of negatives among the k samples on top, averaged over k; tied samples come in random order, [...].

    A group of m tied samples, e of them negative, that follows K samples with E negatives adds the sum over j = 1..m of
    (E + j e / m) / (K + j), which is e + (E - K e / m) times the sum of 1 / (K + j).
    """
    seen = np.cumsum(tally.count, axis=-1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(seen[..., -1].max()) + 1))])
    after = harmonic[seen.astype(np.int64)]
    between = np.diff(after, axis=-1, prepend=0.0)
    before, rate = seen - tally.count, tally.negative / np.maximum(tally.count, 1)
    wrong_before = np.cumsum(tally.negative, axis=-1) - tally.negative
    risks = (tally.negative + (wrong_before - before * rate) * between).sum(axis=-1)
    return _share(risks, seen[..., -1])


def least_area_under_risk(tally: Tally) -> Float64:
    """The `area_under_risk` if all positives lay above all negatives, [...]."""
    positive, negative = tally.positive.sum(axis=-1), tally.negative.sum(axis=-1)
    none = np.zeros_like(negative)
    return area_under_risk(Tally(np.stack([positive, negative], axis=-1), np.stack([positive, none], axis=-1)))


def largest_coverage(tally: Tally, risk: float) -> Float64:
    """Largest share of samples, tied ones together, of which at most a share `risk` is negative; 0 if none, [...]."""
    seen, wrong = np.cumsum(tally.count, axis=-1), np.cumsum(tally.negative, axis=-1)
    allowed = np.where(_share(wrong, seen) <= risk, seen, 0)
    return _share(allowed.max(axis=-1), seen[..., -1])


def _pairs(tally: Tally) -> Float64:
    result: Float64 = tally.positive.sum(axis=-1) * tally.negative.sum(axis=-1)
    return result


def _share(part: Float64, whole: Float64) -> Float64:
    """Divide; NaN where the whole is 0."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
