"""Temperature scaling for data that drift: fitted on shifted predictions as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_floats
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.temperature import divided, inverse_temperature
from calibrant.errors import InputError
from calibrant.predictions import Predictions

ENOUGH = 2048  # samples on which the strengths of the perturbation are found
HALVINGS = 15
WEAKEST, STRONGEST = 1e-3, 1e3  # noise as a multiple of the signal

Perturb = Callable[[Array, float], Array]
"""From rows of samples, int [M], and a strength to their perturbed logits [M, C]."""


class ShiftRobustTemperature(LogitCalibrator):
    """Temperature scaling on held-out samples together with shifted ones (TS-P).

    Fitted on data like the training data, a temperature leaves a model over-confident where images drift away from
    them. This one minimises the negative log-likelihood of the held-out samples and of more difficult ones together:

    - of the `shifted` predictions that `fit` was given, such as those of perturbed validation images;
    - otherwise of the same samples, perturbed at nine strengths for which accuracy falls in equal steps from what it is
      to chance. The paper perturbs images, with Gaussian noise. Predictions have none, so noise is added to the image
      features, where logits are the scaled cosines of image and text features, and else to the logits.

    The perturbed samples together take ten times the memory of the logits.

    Args:
        levels: strengths, the first of which is none; at least 2.
        seed: of the noise.

    Attributes:
        temperature_: T.
        at_bound_: whether the likelihood had no optimum, see `TemperatureScaling`.
        perturbed_: what was shifted: ``"given"``, ``"image features"`` or ``"logits"``.

    Source: Tomani et al., Post-hoc Uncertainty Calibration for Domain Drift Scenarios, 2021, and its released code;
    noise on features or logits in place of images is ours.

    Example:
        >>> held_out = Predictions(logits=[[2.0, 0.0]] * 4, labels=[0, 0, 0, 1])
        >>> drifted = Predictions(logits=[[2.0, 0.0]] * 4, labels=[0, 0, 1, 1])
        >>> robust = ShiftRobustTemperature().fit(held_out, shifted=[drifted])
        >>> robust(held_out)[0].round(3), robust.perturbed_
        (array([0.625, 0.375]), 'given')
    """

    name: ClassVar[str] = "ts-p"
    source: ClassVar[str] = "Tomani et al., Post-hoc Uncertainty Calibration for Domain Drift Scenarios, 2021"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = True
    transfers: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("temperature_", "at_bound_", "perturbed_")

    temperature_: float
    at_bound_: bool
    perturbed_: str

    def __init__(self, levels: int = 10, seed: int = 0) -> None:
        self.levels = levels
        self.seed = seed

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        if not isinstance(self.levels, int) or isinstance(self.levels, bool) or self.levels < 2:
            raise InputError(f"levels of calibrator '{self.name}' must be an integer from 2, not {self.levels!r}")
        labels = given_labels(predictions, self.name)
        logits, all_labels = [predictions.logits], [labels]
        if shifted:
            self.perturbed_ = "given"
            logits += [one.logits for one in shifted]
            all_labels += [given_labels(one, self.name) for one in shifted]
        else:
            perturb, self.perturbed_ = self._perturbation(predictions)
            everything = np.arange(len(labels))
            for strength in strengths(predictions.logits, labels, perturb, self.levels):
                logits.append(perturb(everything, strength))
                all_labels.append(labels)
        inverse, self.at_bound_ = inverse_temperature(np.concatenate(logits), np.concatenate(all_labels))
        self.temperature_ = 1 / inverse

    def _perturbation(self, predictions: Predictions) -> tuple[Perturb, str]:
        if has_cosine_logits(predictions):
            return noisy_features(predictions, self.seed), "image features"
        return noisy_logits(predictions.logits, self.seed), "logits"

    def _logits(self, predictions: Predictions) -> Float64:
        return divided(predictions.logits, self.temperature_)

    def _check_restored(self) -> None:
        if not as_floats(self.temperature_, "temperature_", ()) > 0:
            raise InputError(f"temperature_ must be a positive number, not {self.temperature_!r}")


def strengths(logits: Array, labels: Int64, perturb: Perturb, levels: int) -> list[float]:
    """Find the strengths for which accuracy falls in equal steps from what it is to chance.

    Args:
        logits: finite numbers [N, C].
        labels: int64 [N].
        perturb: perturbs samples.
        levels: how many accuracies, the first of which is that of the logits as they are.

    Returns:
        A strength for each of the others; up to 2,048 samples were looked at.
    """
    some = np.arange(0, len(labels), max(1, len(labels) // ENOUGH))
    best, chance = float((logits.argmax(axis=1) == labels).mean()), 1 / logits.shape[1]

    def strength(target: float) -> float:
        low, high = WEAKEST, STRONGEST
        for _ in range(HALVINGS):
            middle = float(np.sqrt(low * high))
            if (perturb(some, middle).argmax(axis=1) == labels[some]).mean() > target:
                low = middle
            else:
                high = middle
        return high

    return [strength(target) for target in np.linspace(best, chance, levels)[1:]]


def has_cosine_logits(predictions: Predictions) -> bool:
    """Say whether the logits are the scaled cosines of image and text features that the predictions hold."""
    images, texts, scale = predictions.image_features, predictions.text_features, predictions.logit_scale
    if images is None or texts is None or scale is None or images.shape[1] != texts.shape[1]:
        return False
    some = slice(0, 64)
    again = scale * directions(images[some]) @ directions(texts).T
    return bool(np.abs(again - predictions.logits[some]).max() <= 1e-2 * max(1.0, 1e-2 * scale))


def noisy_features(predictions: Predictions, seed: int) -> Perturb:
    """Perturb image features: a direction plus noise of a strength, turned into a direction again."""
    assert predictions.image_features is not None
    assert predictions.text_features is not None
    images, texts = directions(predictions.image_features), directions(predictions.text_features)
    noise = np.random.default_rng(seed).standard_normal(images.shape, dtype=np.float32) / images.shape[1] ** 0.5
    scale = predictions.logit_scale

    def perturb(rows: Array, strength: float) -> Array:
        logits: Array = scale * directions(images[rows] + strength * noise[rows]) @ texts.T
        return logits

    return perturb


def noisy_logits(logits: Array, seed: int) -> Perturb:
    """Perturb logits so that their mean and spread within a sample stay: the answer drowns, not the confidence."""
    middle, spread = logits.mean(axis=1, keepdims=True), logits.std(axis=1, keepdims=True)
    noise = np.random.default_rng(seed).standard_normal(logits.shape, dtype=np.float32)

    def perturb(rows: Array, strength: float) -> Array:
        signal = logits[rows] - middle[rows]
        perturbed: Array = (signal + strength * spread[rows] * noise[rows]) / (1 + strength**2) ** 0.5 + middle[rows]
        return perturbed

    return perturb


def directions(features: Array) -> Array:
    """Divide every row by its length; a row of zeros stays."""
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    rows: Array = features / np.where(norms > 0, norms, 1)
    return rows
