"""Multinomial regression on given inputs with a penalty, which vector, matrix and Dirichlet calibration share."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from calibrant.arrays import Float64, Int64
from calibrant.errors import CalibrantWarning, InputError

ENTRIES = 2**17  # numbers worked on at a time
STEPS = 1000

Objective = Callable[[Float64], tuple[float, Float64]]


def likelihood(
    inputs: Float64,
    labels: Int64,
    scores: Callable[[Float64], Float64],
    gradient: Callable[[Float64, Float64], Float64],
) -> tuple[float, Float64]:
    """Compute the mean negative log-likelihood of softmax(scores(x)) and its gradient by the parameters of the scores.

    Args:
        inputs: x, float64 [N, D].
        labels: int64 [N].
        scores: from rows of inputs [n, D] to scores [n, C].
        gradient: from rows of inputs [n, D] and derivatives of the likelihood by their scores [n, C] to those by the
            parameters, float64 [P], summed over the rows.

    Returns:
        The value, and its gradient, float64 [P].

    Example:
        >>> x = np.array([[1.0, 0.0]])
        >>> value, slope = likelihood(x, np.array([0]), lambda x: x, lambda x, by_score: by_score.sum(axis=0))
        >>> round(value, 4), slope.round(4)
        (0.3133, array([-0.2689,  0.2689]))
    """
    value, slope = 0.0, np.zeros(1)
    at_once = max(1, ENTRIES // inputs.shape[1])
    for start in range(0, len(inputs), at_once):
        x, y = inputs[start : start + at_once], labels[start : start + at_once]
        z = scores(x)
        z -= z.max(axis=1, keepdims=True)
        of_label = z[np.arange(len(z)), y]
        p = np.exp(z, out=z)
        total = p.sum(axis=1)
        value += float((np.log(total) - of_label).sum())
        p /= total[:, None]
        p[np.arange(len(p)), y] -= 1
        slope = slope + gradient(x, p)
    return value / len(inputs), slope / len(inputs)


def minimise(objective: Objective, start: Float64, name: str) -> Float64:
    """Find the minimum of a smooth convex function by L-BFGS, whose value only falls.

    Args:
        objective: from parameters, float64 [P], to value and gradient.
        start: the first parameters.
        name: the calibrator, for the warning.

    Returns:
        The parameters, float64 [P].

    Warns:
        CalibrantWarning: if it has not settled after 1,000 steps.

    Example:
        >>> minimise(lambda x: (float(((x - 3) ** 2).sum()), 2 * (x - 3)), np.zeros(2), "example").round(6)
        array([3., 3.])
    """
    from scipy.optimize import minimize

    options = {"maxiter": STEPS, "maxfun": 2 * STEPS, "maxcor": 20, "gtol": 1e-6, "ftol": 1e-11}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    if found.nit >= STEPS or found.nfev >= 2 * STEPS:
        warnings.warn(
            f"calibrator '{name}' has not settled after {found.nit} steps; what it has reached is used. "
            "More held-out samples or a stronger penalty help",
            CalibrantWarning,
            stacklevel=5,
        )
    parameters: Float64 = found.x
    return parameters


def penalty(value: float | None, usual: float, parameter: str, name: str) -> float:
    """Check a penalty, or take the usual one.

    Args:
        value: what the user chose, or None.
        usual: what it is otherwise.
        parameter: its name, for the error.
        name: the calibrator, for the error.

    Returns:
        0 or more.

    Raises:
        InputError: if it is negative or not finite.
    """
    if value is None:
        return usual
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < np.inf:
        raise InputError(f"{parameter} of calibrator '{name}' must be a number, at least 0, not {value!r}")
    return value
