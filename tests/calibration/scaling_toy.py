"""Logits whose calibration is known, and the likelihood written out, for the tests of the scaling group."""

import numpy as np

from calibrant.arrays import softmax


def drawn(seed, samples=2000, classes=5, spread=2.0):
    """True logits, and labels drawn from their softmax."""
    rng = np.random.default_rng(seed)
    logits = spread * rng.normal(size=(samples, classes))
    return logits, (rng.random((samples, 1)) > softmax(logits).cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)


def plain_nll(scores, labels):
    """The mean negative log-likelihood, sample by sample."""
    total = 0.0
    for row, label in zip(scores, labels, strict=True):
        highest = max(row)
        total += np.log(sum(np.exp(value - highest) for value in row)) + highest - row[label]
    return total / len(labels)
