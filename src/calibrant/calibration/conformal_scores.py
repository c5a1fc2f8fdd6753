"""How strange each class would be as the answer: the scores that conformal sets are cut from."""

from __future__ import annotations

import math

import numpy as np

from calibrant.arrays import Array, Float64, Int64


def threshold_scores(probabilities: Array) -> Float64:
    """Score a class by what its probability lacks to 1.

    Args:
        probabilities: [N, C].

    Returns:
        float64 [N, C].

    Source: Sadinle, Lei and Wasserman, JASA 2019.

    Example:
        >>> threshold_scores(np.array([[0.75, 0.25]]))
        array([[0.25, 0.75]])
    """
    return 1 - np.asarray(probabilities, dtype=np.float64)


def adaptive_scores(probabilities: Array, draws: Float64) -> Float64:
    """Score a class by the probability of all likelier ones, plus a drawn share of its own.

    Args:
        probabilities: [N, C].
        draws: float64 [N] in 0 to 1; 0 gives the smallest level at which the class is in the set.

    Returns:
        float64 [N, C]; of equal probabilities the class of lowest index counts as the likelier.

    Source: Romano, Sesia and Candès, NeurIPS 2020, with 1 - u in the place of u, which has the same distribution; as
    in Angelopoulos et al., ICLR 2021, without the penalty.

    Example:
        >>> adaptive_scores(np.array([[0.25, 0.75]]), np.zeros(1))
        array([[0.75, 0. ]])
    """
    p = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    before = np.zeros_like(ranked)
    np.cumsum(ranked[:, :-1], axis=1, out=before[:, 1:])
    scores = np.empty_like(p)
    np.put_along_axis(scores, order, before + draws[:, None] * ranked, axis=1)
    return scores


def rank_penalty(probabilities: Array, free: int) -> Int64:
    """Count by how many ranks each class lies behind the first few.

    Args:
        probabilities: [N, C].
        free: how many classes cost nothing.

    Returns:
        int64 [N, C].

    Source: Angelopoulos, Bates, Jordan and Malik, ICLR 2021.

    Example:
        >>> rank_penalty(np.array([[0.2, 0.5, 0.3]]), 1)
        array([[2, 0, 1]])
    """
    order = np.argsort(-np.asarray(probabilities, dtype=np.float64), axis=1, kind="stable")
    rank = np.empty(order.shape, dtype=np.int64)
    np.put_along_axis(rank, order, np.arange(1, order.shape[1] + 1)[None, :], axis=1)
    return np.maximum(0, rank - free)


def level_of(scores: Float64, alpha: float) -> float:
    """Find the score that a new sample exceeds with a chance of at most alpha.

    Args:
        scores: float64 [n], of the right class of held-out samples; may be empty.
        alpha: that chance.

    Returns:
        The score of rank ceil((n + 1)(1 - alpha)), infinite where n is too small for that.

    Source: Vovk, Gammerman and Shafer, Algorithmic learning in a random world, 2005.

    Example:
        >>> level_of(np.arange(1.0, 10.0), 0.2), level_of(np.arange(1.0, 4.0), 0.2)
        (8.0, inf)
    """
    rank = math.ceil((len(scores) + 1) * (1 - alpha) - 1e-9)  # 0.9 x 10 is a little above 9 in floating point
    if rank > len(scores):
        return math.inf
    return float(np.partition(scores, rank - 1)[rank - 1])
