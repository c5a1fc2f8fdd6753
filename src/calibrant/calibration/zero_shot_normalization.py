"""ZS-norm at test time: the logits of each sample get the range of its zero-shot logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64
from calibrant.calibration.calibrator import LogitCalibrator
from calibrant.calibration.needed_fields import needed_fields
from calibrant.errors import InputError
from calibrant.predictions import Predictions


class ZeroShotNormalization(LogitCalibrator):
    """Logits l of a sample, stretched and shifted so that their extremes are those of its zero-shot logits z.

        (l - min l) / (max l - min l) * (max z - min z) + min z

    Tuning widens the range of the logits, and confidence grows with it; this takes the range back, sample by sample,
    and leaves their order alone. Logits that are all equal become min z. Nothing is fitted, and labels are not read.

    The paper has this rescaling twice: while tuning (there called ZS-Norm, here the objective ``zero_shot_normalised``)
    and, as here, when a tuned model is used (there called SaLS, sample-adaptive logit scaling).

    Source: Murugesan, Silva-Rodriguez, Ben Ayed and Dolz, Robust Calibration of Large Vision-Language Adapters, ECCV
    2024.

    Example:
        >>> sample = Predictions(logits=[[0.0, 50.0, 100.0]], zero_shot_logits=[[24.0, 20.0, 22.0]])
        >>> ZeroShotNormalization().fit(sample).transform(sample).logits
        array([[20., 22., 24.]])
    """

    name: ClassVar[str] = "zs-norm"
    source: ClassVar[str] = "Murugesan et al., Robust Calibration of Large Vision-Language Adapters, 2024"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("zero_shot_logits",)

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        needed_fields(predictions, self.reads, self.name)

    def _logits(self, predictions: Predictions) -> Float64:
        (zero_shot,) = needed_fields(predictions, self.reads, self.name)
        logits = predictions.logits.astype(np.float64)
        low, high = _extremes(logits)
        target_low, target_high = _extremes(zero_shot.astype(np.float64))
        flat = np.flatnonzero((target_high == target_low) & (high > low))
        if len(flat):
            raise InputError(
                f"calibrator 'zs-norm' takes its range from the zero-shot logits, and those in row {flat[0]} are equal"
            )
        place = (logits - low) / np.where(high > low, high - low, 1.0)
        stretched: Float64 = place * (target_high - target_low) + target_low
        return stretched


def _extremes(logits: Float64) -> tuple[Float64, Float64]:
    return logits.min(axis=1, keepdims=True), logits.max(axis=1, keepdims=True)
