"""The negative log-likelihood of logits divided by temperatures, sample by sample, with its derivatives."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from calibrant.arrays import Array, Float64, Int64

ENTRIES = 2**17  # logits turned into float64 at a time: with what is made of them they stay in the processor's cache


class Likelihood(NamedTuple):
    """Negative log-likelihood per sample, float64 [N], with its derivatives by the inverse temperature."""

    value: Float64
    first: Float64
    second: Float64


def tempered_likelihood(logits: Array, labels: Int64, inverse: float | Float64) -> Likelihood:
    """Compute -log softmax(inverse * z)_label with E[z] - z_label and Var[z], z the logits below the largest.

    Args:
        logits: finite numbers [N, C].
        labels: int64 [N].
        inverse: inverse temperature, one for all or float64 [N]; 0 or more.

    Returns:
        Value and derivatives, computed in float64 whatever the logits are.

    Example:
        >>> flat = tempered_likelihood(np.array([[2.0, 0.0]]), np.array([1]), 0.0)
        >>> flat.value.round(4), flat.first, flat.second
        (array([0.6931]), array([1.]), array([1.]))
    """
    samples, classes = logits.shape
    inverses = np.broadcast_to(np.asarray(inverse, dtype=np.float64), samples)
    value, first, second = np.empty(samples), np.empty(samples), np.empty(samples)
    at_once = max(1, ENTRIES // classes)
    for start in range(0, samples, at_once):
        rows = slice(start, start + at_once)
        z = logits[rows].astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        with np.errstate(over="ignore"):  # -inf, whose exponential is the right 0
            p = np.exp(z * inverses[rows, None])
        total = p.sum(axis=1)
        mean = np.einsum("nc,nc->n", p, z) / total
        p *= z
        of_label = z[np.arange(len(z)), labels[rows]]
        value[rows] = np.log(total) - inverses[rows] * of_label
        first[rows] = mean - of_label
        second[rows] = np.einsum("nc,nc->n", p, z) / total - mean**2
    return Likelihood(value, first, second)
