"""Zero-shot temperature: fitted on the model before tuning, used on the tuned one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from calibrant.arrays import Float64
from calibrant.calibration.calibrator import LogitCalibrator, given_labels
from calibrant.calibration.needed_fields import needed_fields
from calibrant.calibration.temperature import TemperatureScaling, divided
from calibrant.errors import InputError
from calibrant.predictions import Predictions


class ZeroShotTemperature(LogitCalibrator):
    """Tuned logits divided by the temperature that calibrates the zero-shot model.

    T minimises the negative log-likelihood of the zero-shot logits, so labelled samples of any task will do. What is
    carried over to the tuned model is the factor between cosine and logit: where the predictions know both logit
    scales, s before and s' after tuning, the tuned logits are multiplied by s / s' first, which turns them into s times
    the tuned cosines. Without the scales both are taken to be the same. A head whose logits are no scaled cosines is
    outside the idea.

    Attributes:
        temperature_: T; above 1 the zero-shot model was over-confident.
        at_bound_: whether the zero-shot likelihood had no optimum, see `TemperatureScaling`.

    Source: LeVine et al., Enabling Calibration in the Zero-Shot Inference of Large Vision-Language Models, 2023 (one
    temperature per model, for any task and prompt); its use on a tuned model is ours.

    Example:
        >>> zero_shot, labels = [[3.0, 0.0], [3.0, 0.0], [0.0, 3.0], [3.0, 0.0]], [0, 0, 1, 1]
        >>> pets = Predictions(logits=[[9.0, 0.0]] * 4, zero_shot_logits=zero_shot, labels=labels)
        >>> fitted = ZeroShotTemperature().fit(pets)
        >>> round(fitted.temperature_, 3), fitted(pets)[0].round(3)
        (2.731, array([0.964, 0.036]))
    """

    name: ClassVar[str] = "zero-shot-temperature"
    source: ClassVar[str] = "LeVine et al., Enabling Calibration in the Zero-Shot Inference of Large VLMs, 2023"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    fitted: ClassVar[tuple[str, ...]] = ("temperature_", "at_bound_")

    temperature_: float
    at_bound_: bool

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        (zero_shot,) = needed_fields(predictions, ("zero_shot_logits",), self.name)
        of_zero_shot = TemperatureScaling().fit(zero_shot, given_labels(predictions, self.name))
        self.temperature_, self.at_bound_ = of_zero_shot.temperature_, of_zero_shot.at_bound_

    def _logits(self, predictions: Predictions) -> Float64:
        scale, zero_shot_scale = predictions.logit_scale, predictions.zero_shot_logit_scale
        common = 1.0 if scale is None or zero_shot_scale is None else zero_shot_scale / scale
        return divided(predictions.logits, self.temperature_ / common)

    def _check_restored(self) -> None:
        if not isinstance(self.temperature_, int | float) or not 0 < self.temperature_ < np.inf:
            raise InputError(f"temperature_ must be a positive number, not {self.temperature_!r}")
