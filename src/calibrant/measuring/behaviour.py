"""How the calibrators for new classes behave on one set: contrast, weights, and what they go with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.errors import InputError
from calibrant.measuring.one_model import about

if TYPE_CHECKING:
    from calibrant.calibration import ContrastAware, DistanceAware
    from calibrant.predictions import Predictions

SHOWN = 5  # classes with the smallest weights


@dataclass(frozen=True)
class Weights:
    """What the weights of DAC or CAC say on one set.

    Args:
        calibrator: ``"dac"`` or ``"cac"``.
        parts: as `calibrant.calibration.weight_correlations` gives them.
    """

    calibrator: str
    parts: Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Behaviour:
    """How CAC and DAC see one set of images.

    Args:
        set_name: the set.
        contrasts: as `calibrant.calibration.contrasts` gives them; empty without zero-shot logits.
        weights: of CAC and of DAC, as far as the predictions hold what they read.
        changed: how many of the classes DAC gives another weight than 1.
        classes: how many there are.
        smallest: the classes with the smallest weights of DAC, and these.
    """

    set_name: str
    contrasts: Sequence[dict[str, Any]] = ()
    weights: Sequence[Weights] = ()
    changed: int = 0
    classes: int = 0
    smallest: Sequence[tuple[str, float]] = ()


def behaviour(stored: Predictions) -> Behaviour | None:
    """Look at what CAC and DAC, which need no fitting, would do on a set.

    Args:
        stored: predictions with labels.

    Returns:
        What can be said, or None where the predictions lack what both of them read.

    Example:
        >>> from calibrant import Predictions
        >>> images = Predictions(logits=[[3.0, 0.0], [9.0, 0.0]], zero_shot_logits=[[3.0, 0.0]] * 2, labels=[0, 1])
        >>> behaviour(images).weights[0].parts[0]["correlation"]
        -1.0
    """
    from calibrant.calibration import ContrastAware, DistanceAware
    from calibrant.calibration.diagnostics import contrasts

    name, weights, contrast, by_class = about(stored, "data"), [], [], np.ones(0)
    if stored.zero_shot_logits is not None:
        contrast = contrasts(stored)
        weights.append(_weights(stored, ContrastAware()))
    try:
        by_class = DistanceAware().fit(replace(stored, labels=None)).class_weights(stored)
        weights.append(_weights(stored, DistanceAware()))
    except InputError:  # no text features, as with a file of logits
        pass
    if not weights:
        return None
    order = np.argsort(by_class, kind="stable")[:SHOWN]
    return Behaviour(
        set_name=name,
        contrasts=contrast,
        weights=weights,
        changed=int((by_class != 1).sum()),
        classes=len(stored.classes),
        smallest=[(stored.classes[i], float(by_class[i])) for i in order if by_class[i] < 1],
    )


def _weights(stored: Predictions, calibrator: ContrastAware | DistanceAware) -> Weights:
    from calibrant.calibration.diagnostics import weight_correlations

    fitted = calibrator.fit(replace(stored, labels=None))
    return Weights(calibrator.name, weight_correlations(stored, fitted))
