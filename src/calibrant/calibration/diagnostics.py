"""How CAC and DAC behave on given predictions: contrast, correlation with over-confidence, sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Array, Float64
from calibrant.calibration.contrast_aware import ContrastAware
from calibrant.calibration.distance_aware import DistanceAware
from calibrant.calibration.needed_fields import needed_fields
from calibrant.errors import InputError
from calibrant.metrics import calibration_error, contrast, weight_correlation
from calibrant.predictions import Predictions

KS, ALPHAS = (5.0, 10.0, 15.0, 25.0), (1.0, 1.05, 1.1, 1.2)
NEIGHBOURS = (1, 2, 3, 5, 10)


def contrasts(predictions: Predictions) -> list[dict[str, Any]]:
    """Compute CAC's contrast metric of the tuned and the zero-shot model.

    Args:
        predictions: with labels and `zero_shot_logits`; samples of none of the classes are left out.

    Returns:
        For every part of the samples ``part``, ``n``, ``tuned``, ``zero_shot`` and ``unit``: "cosine" where both logit
        scales are known, otherwise "logit". The parts are "all" and, where tuned and other classes occur, "base" and
        "new".

    Raises:
        InputError: if labels or zero-shot logits are missing.

    Example:
        >>> contrasts(Predictions(logits=[[4.0, 1.0]], zero_shot_logits=[[3.0, 1.0]], labels=[0]))
        [{'part': 'all', 'n': 1, 'tuned': 3.0, 'zero_shot': 2.0, 'unit': 'logit'}]
    """
    (zero_shot,) = needed_fields(predictions, ("zero_shot_logits",), "cac")
    scales = predictions.logit_scale, predictions.zero_shot_logit_scale
    tuned_scale, zero_shot_scale = (1.0, 1.0) if None in scales else (scales[0] or 1.0, scales[1] or 1.0)
    return [
        {
            "part": name,
            "n": len(labels),
            "tuned": contrast(predictions.logits[rows] / tuned_scale, labels),
            "zero_shot": contrast(zero_shot[rows] / zero_shot_scale, labels),
            "unit": "logit" if None in scales else "cosine",
        }
        for name, rows, labels in _parts(predictions)
    ]


def weight_correlations(predictions: Predictions, calibrator: ContrastAware | DistanceAware) -> list[dict[str, Any]]:
    """Correlate the weights of a calibrator with over-confidence; below 0 they lower what is too high.

    Args:
        predictions: with labels and what the calibrator reads.
        calibrator: CAC or DAC.

    Returns:
        For every part, as for `contrasts`, ``part``, ``n``, ``mean_weight`` and ``correlation``, which is NaN where all
        weights are equal.

    Raises:
        InputError: if labels or something that the calibrator reads is missing.

    Example:
        >>> images = Predictions(logits=[[3.0, 0.0], [9.0, 0.0]], zero_shot_logits=[[3.0, 0.0]] * 2, labels=[0, 1])
        >>> weight_correlations(images, ContrastAware())[0]["correlation"]
        -1.0
    """
    weights, probs = calibrator.sample_weights(predictions), predictions.probabilities()
    return [
        {
            "part": name,
            "n": len(labels),
            "mean_weight": float(weights[rows].mean()),
            "correlation": weight_correlation(weights[rows], probs[rows], labels),
        }
        for name, rows, labels in _parts(predictions)
    ]


def cac_sensitivity(
    predictions: Predictions,
    ks: Sequence[float] = KS,
    alphas: Sequence[float] = ALPHAS,
    *,
    variant: str = "l1_mean",
    bins: int = 15,
) -> list[dict[str, Any]]:
    """Measure ECE after CAC for every k and alpha: reviews call the method sensitive to both.

    Args:
        predictions: with labels and `zero_shot_logits`.
        ks: values of k.
        alphas: values of alpha.
        variant: ``"l1_mean"`` or ``"l1_sum_cos"``, which have no other parameters.
        bins: bins of equal width of the calibration error.

    Returns:
        One row for every part (see `contrasts`), k and alpha: ``part``, ``n``, ``reconstruction`` (the variant), ``k``,
        ``alpha``, ``ece``, ``ece_before`` without CAC.

    Raises:
        InputError: if labels or zero-shot logits are missing, or a parameter is out of range.

    Example:
        >>> image = Predictions(logits=[[2.0, 0.0]], zero_shot_logits=[[1.0, 0.0]], labels=[1])
        >>> row = cac_sensitivity(image, ks=[15], alphas=[1.0])[0]
        >>> row["k"], round(row["ece"], 3), round(row["ece_before"], 3)
        (15, 0.874, 0.881)
    """
    settings = [
        (ContrastAware(variant=variant, k=k, alpha=alpha), {"reconstruction": variant, "k": k, "alpha": alpha})  # type: ignore[arg-type]  # the calibrator checks the name
        for k in ks
        for alpha in alphas
    ]
    return _sensitivity(predictions, settings, bins)


def dac_sensitivity(
    predictions: Predictions, ks: Sequence[int] = NEIGHBOURS, *, bins: int = 15
) -> list[dict[str, Any]]:
    """Measure ECE after DAC for several numbers of neighbours.

    Args:
        predictions: with labels and the text features that `DistanceAware` reads.
        ks: values of k.
        bins: bins of equal width of the calibration error.

    Returns:
        One row for every part (see `contrasts`) and k: ``part``, ``n``, ``k``, ``ece``, ``ece_before`` without DAC.

    Raises:
        InputError: if labels or text features are missing, or a k is no positive integer.
    """
    return _sensitivity(predictions, [(DistanceAware(k=k), {"k": k}) for k in ks], bins)


def _sensitivity(
    predictions: Predictions, settings: Sequence[tuple[ContrastAware | DistanceAware, dict[str, Any]]], bins: int
) -> list[dict[str, Any]]:
    parts = _parts(predictions)
    unlabelled = replace(predictions, labels=None)  # nothing is to be learned from labels here

    def errors(table: Float64) -> list[float]:
        return [calibration_error(table[rows], labels, bins=bins) for _, rows, labels in parts]

    before = errors(predictions.probabilities())
    after = [errors(calibrator.fit(unlabelled)(unlabelled)) for calibrator, _ in settings]
    return [
        {"part": name, "n": len(labels), **described, "ece": of_setting[i], "ece_before": before[i]}
        for i, (name, _, labels) in enumerate(parts)
        for (_, described), of_setting in zip(settings, after, strict=True)
    ]


def _parts(predictions: Predictions) -> list[tuple[str, npt.NDArray[np.bool_], Array]]:
    """Name, rows and labels of all samples with a class, and of those of tuned and of other classes if both occur."""
    if predictions.labels is None:
        raise InputError("these diagnostics compare confidence with labels, and the predictions have none")
    inside = predictions.labels >= 0
    if not inside.any():
        raise InputError("no sample belongs to one of the classes")
    base = set(predictions.base_classes or ())
    tuned = np.array([name in base for name in predictions.classes])[predictions.labels]
    parts = {"all": inside, "base": inside & tuned, "new": inside & ~tuned}
    if not (parts["base"].any() and parts["new"].any()):
        parts = {"all": inside}
    return [(name, rows, predictions.labels[rows]) for name, rows in parts.items()]
