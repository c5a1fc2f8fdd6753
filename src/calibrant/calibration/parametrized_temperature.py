"""Parametrised temperature scaling: a small network reads the largest logits and says by what to divide them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_floats
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.penalised_regression import penalty
from calibrant.calibration.temperature import inverse_temperature
from calibrant.errors import InputError
from calibrant.predictions import Predictions

NODES = 5
REACH = 3.0  # of ln(T / T_0): temperatures stay between 1/20 and 20 times T_0
STEPS = 200
ENTRIES = 2**17  # logits worked on at a time


class ParametrizedTemperature(LogitCalibrator):
    """Logits divided by a temperature of their own for every sample, which a network computes from its largest logits.

    As published: the network reads the ten largest logits in descending order, has two hidden layers of five rectified
    units, and minimises the squared error of the probabilities. Ours: the temperature is T_0 exp(3 tanh(g / 3)), where
    T_0 is that of temperature scaling and g the network's output, so it is positive, bounded and starts at T_0; inputs
    are standardised; weights are penalised, since 90 of them over-fit a few hundred samples; and the optimiser is
    L-BFGS in place of 100,000 steps of Adam.

    Every sample's logits are divided by one number, so no answer changes. It can be used for another class list with
    enough classes; whether its temperatures suit that is not known.

    Args:
        top: how many of the largest logits the network reads; all, where there are fewer classes.
        decay: penalty of the squared weights, divided by the number of samples; 0 as published.
        seed: of the network's first weights.

    Attributes:
        temperature_: T_0.
        inputs_: mean and standard deviation of the inputs, float64 [2, top].
        layers_: weights and intercepts of the three layers, float64 arrays.

    Source: Tomani, Cremers and Buettner, Parameterized Temperature Scaling for Boosting the Expressive Power in
    Post-Hoc Uncertainty Calibration, ECCV 2022, and its released code.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> logits = draw.normal(size=(500, 3))
        >>> logits[:, 0] += np.where(draw.random(500) < 0.5, 2, 20)  # half of the samples are far too confident
        >>> labels = np.where(draw.random(500) < 0.8, 0, 1)
        >>> unsure, confident = ParametrizedTemperature().fit(logits, labels).temperatures([[2, 0, 0], [20, 0, 0]])
        >>> bool(confident > 3 * unsure)
        True
    """

    name: ClassVar[str] = "parametrized-temperature"
    source: ClassVar[str] = "Tomani et al., Parameterized Temperature Scaling, 2022"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("temperature_", "inputs_", "layers_")

    temperature_: float
    inputs_: Float64
    layers_: list[Float64]

    def __init__(self, top: int = 10, decay: float = 1.0, seed: int = 0) -> None:
        self.top = top
        self.decay = decay
        self.seed = seed

    def temperatures(self, logits: Array) -> Float64:
        """Compute the temperature of every sample.

        Args:
            logits: finite numbers [N, C], with at least as many classes as the network reads logits.

        Returns:
            float64 [N], positive.

        Raises:
            InputError: if it is not fitted or there are fewer classes.
        """
        self.check_fitted()
        output, _ = forward(self._inputs(np.asarray(logits)), self.layers_)
        temperatures: Float64 = self.temperature_ * np.exp(REACH * np.tanh(output / REACH))
        return temperatures

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        from scipy.optimize import minimize

        if not isinstance(self.top, int) or isinstance(self.top, bool) or self.top < 1:
            raise InputError(f"top of calibrator '{self.name}' must be a positive integer, not {self.top!r}")
        logits, labels = predictions.logits, given_labels(predictions, self.name)
        inverse, _ = inverse_temperature(logits, labels)
        self.temperature_ = 1 / inverse
        largest = largest_logits(logits, min(self.top, logits.shape[1]))
        spread = largest.std(axis=0)
        self.inputs_ = np.stack([largest.mean(axis=0), np.where(spread > 0, spread, 1.0)])
        inputs, shapes = self._inputs(logits), layer_shapes(largest.shape[1])
        decay = penalty(self.decay, 0.0, "decay", self.name) / len(labels)

        def objective(parameters: Float64) -> tuple[float, Float64]:
            layers = unpacked(parameters, shapes)
            output, hidden = forward(inputs, layers)
            bent = np.tanh(output / REACH)
            inverses = inverse * np.exp(-REACH * bent)
            errors, by_inverse = squared_error(logits, labels, inverses)
            by_output = -by_inverse * inverses * (1 - bent**2)
            slopes = backward(by_output / len(logits), inputs, hidden, layers)
            value = float(errors.mean()) + decay * float(parameters @ parameters)
            return value, np.concatenate([slope.ravel() for slope in slopes]) + 2 * decay * parameters

        start = np.concatenate([layer.ravel() for layer in first_layers(shapes, self.seed)])
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "ftol": 1e-7})
        self.layers_ = unpacked(found.x, shapes)

    def _inputs(self, logits: Array) -> Float64:
        top = self.inputs_.shape[1]
        if logits.shape[1] < top:
            raise InputError(
                f"calibrator '{self.name}' reads the {top} largest logits, but there are {logits.shape[1]} classes"
            )
        standardised: Float64 = (largest_logits(logits, top) - self.inputs_[0]) / self.inputs_[1]
        return standardised

    def _logits(self, predictions: Predictions) -> Float64:
        divided: Float64 = predictions.logits / self.temperatures(predictions.logits)[:, None]
        return divided

    def _check_restored(self) -> None:
        self.inputs_ = as_floats(self.inputs_, "inputs_", (2, None)).astype(np.float64)
        shapes = layer_shapes(self.inputs_.shape[1])
        if not isinstance(self.layers_, list) or len(self.layers_) != len(shapes):
            raise InputError(f"layers_ must be {len(shapes)} arrays")
        self.layers_ = [as_floats(layer, "layers_", shape) for layer, shape in zip(self.layers_, shapes, strict=True)]
        if not as_floats(self.temperature_, "temperature_", ()) > 0:
            raise InputError(f"temperature_ must be a positive number, not {self.temperature_!r}")


def largest_logits(logits: Array, top: int) -> Float64:
    """Sort the largest logits of every sample.

    Example:
        >>> largest_logits(np.array([[1.0, 3.0, 2.0]]), 2)
        array([[3., 2.]])
    """
    classes = logits.shape[1]
    largest = np.partition(logits, classes - top, axis=1)[:, classes - top :]
    descending: Float64 = np.sort(largest, axis=1)[:, ::-1].astype(np.float64)
    return descending


def squared_error(logits: Array, labels: Int64, inverses: Float64) -> tuple[Float64, Float64]:
    """Compute the squared error of the probabilities per sample, and its derivative by the inverse temperature.

    Args:
        logits: finite numbers [N, C].
        labels: int64 [N].
        inverses: float64 [N], positive.

    Returns:
        sum_c (p_c - y_c)^2 and its derivative, both float64 [N].
    """
    errors, slopes = np.empty(len(logits)), np.empty(len(logits))
    at_once = max(1, ENTRIES // logits.shape[1])
    for start in range(0, len(logits), at_once):
        rows = slice(start, start + at_once)
        z = logits[rows].astype(np.float64)
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z * inverses[rows, None])
        p /= p.sum(axis=1, keepdims=True)
        by_inverse = p * (z - np.einsum("nc,nc->n", p, z)[:, None])
        p[np.arange(len(p)), labels[rows]] -= 1
        errors[rows] = np.einsum("nc,nc->n", p, p)
        slopes[rows] = 2 * np.einsum("nc,nc->n", p, by_inverse)
    return errors, slopes


def layer_shapes(inputs: int) -> list[tuple[int, ...]]:
    """The shapes of weights and intercepts: two hidden layers, and one output."""
    return [(inputs, NODES), (NODES,), (NODES, NODES), (NODES,), (NODES, 1), (1,)]


def first_layers(shapes: Sequence[tuple[int, ...]], seed: int) -> list[Float64]:
    """Draw the hidden layers; the output layer is 0, so that every temperature starts at T_0."""
    draw = np.random.default_rng(seed)
    layers = [np.zeros(shape) for shape in shapes]
    for hidden in (0, 2):
        layers[hidden] = draw.normal(scale=np.sqrt(2 / shapes[hidden][0]), size=shapes[hidden])
    return layers


def unpacked(parameters: Float64, shapes: Sequence[tuple[int, ...]]) -> list[Float64]:
    """Cut one vector of parameters into layers."""
    ends = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    return [part.reshape(shape) for part, shape in zip(np.split(parameters, ends), shapes, strict=True)]


def forward(inputs: Float64, layers: Sequence[Float64]) -> tuple[Float64, list[Float64]]:
    """Compute the network's output, float64 [N], and its two hidden layers, float64 [N, 5]."""
    w1, b1, w2, b2, w3, b3 = layers
    first = np.maximum(inputs @ w1 + b1, 0)
    second = np.maximum(first @ w2 + b2, 0)
    return (second @ w3 + b3)[:, 0], [first, second]


def backward(
    by_output: Float64, inputs: Float64, hidden: Sequence[Float64], layers: Sequence[Float64]
) -> list[Float64]:
    """Compute the derivatives by all layers from those by the output, float64 [N]."""
    first, second = hidden
    _, _, w2, _, w3, _ = layers
    by_third = by_output[:, None]
    by_second = (by_third @ w3.T) * (second > 0)
    by_first = (by_second @ w2.T) * (first > 0)
    return [
        inputs.T @ by_first, by_first.sum(axis=0),
        first.T @ by_second, by_second.sum(axis=0),
        second.T @ by_third, by_third.sum(axis=0),
    ]  # fmt: skip
