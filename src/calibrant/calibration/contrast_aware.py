"""CAC, reconstructed: more or less confidence by how far the tuned model has left the zero-shot model on a sample."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np

from calibrant.arrays import Array, Float64, softmax
from calibrant.calibration.calibrator import LogitCalibrator
from calibrant.calibration.needed_fields import needed_fields
from calibrant.errors import CalibrantWarning, InputError, unknown
from calibrant.metrics import calibration_error
from calibrant.predictions import Predictions

Variant = Literal["l1_mean", "l1_sum_cos", "advanced", "prob"]
VARIANTS = ("l1_mean", "l1_sum_cos", "advanced", "prob")
OWN = {"advanced": ("lambda1", "lambda2"), "prob": ("kappa",)}
"""Parameters that one variant alone reads; it cannot do without."""
SMALLEST = 1e-9
"""A weight below this leaves so little of the logits that float64 can no longer tell which one is the largest."""


class ContrastAware(LogitCalibrator):
    """Reconstruction of CAC: logits times a weight per sample, from the distance to its zero-shot logits.

    **What is known** of contrast-aware calibration, from the abstract and from reviews of the paper: it needs no
    training and no held-out images; the signal is the L1 distance between the logits of the tuned and of the original
    model on the same image; that is scaled and put through an exponential, which gives a weight for every sample; the
    weight multiplies the tuned logits, so no answer changes. k = 15 and alpha = 1.10 are the paper's defaults, 5 and 25
    are clearly worse for k. An "advanced" version has two more numbers, lambda1 and lambda2, as thresholds.

    **What is assumed**: everything else. Neither formula nor code is public in a form that could be read here, so each
    variant is a reconstruction, and `transform` writes that word into ``about``. With z the zero-shot logits and l the
    tuned ones of a sample with C classes:

    - ``"l1_mean"``: d = mean over classes of abs(l - z), weight = alpha exp(-d / k). The only reading that fits all of
      the above for any number of classes. It is 1 at d = k ln(alpha), 1.43 logits: models closer than that are
      sharpened, others softened. alpha = 1 can only soften.
    - ``"l1_sum_cos"``: d = sum over classes of the difference in cosines (logits / logit scale), the literal L1 norm.
      It depends on the number of classes: using it on another number than at fit draws a warning.
    - ``"advanced"``: with u = exp(-d / k) and d of ``l1_mean``, weight = alpha u for u >= lambda1, u for
      lambda2 <= u < lambda1, and u^2 below. A guess; the thresholds have no published values and must be given.
    - ``"prob"``: d = total variation of the two softmaxes, 0 to 1, weight = alpha exp(-d / kappa). Ours, for heads
      whose logits are no scaled cosines; kappa must be given.

    k counts logits at CLIP's scale of 100, where a cosine that moves by 0.01 moves its logit by 1; for a model with
    another scale it means something else. Where the predictions know both logit scales, ``l1_mean`` and ``advanced``
    compare the tuned cosines at the zero-shot scale.

    The idea needs a zero-shot model that is itself well calibrated. `fit` learns nothing; given labels, it says so, and
    whether the zero-shot model is worse calibrated (ECE) than the tuned one. Each variant needs `zero_shot_logits`,
    which cost a second image tower where the image tower was tuned.

    Args:
        variant: ``"l1_mean"``, ``"l1_sum_cos"``, ``"advanced"`` or ``"prob"``.
        k: how slowly the weight falls with the distance, in its unit, above 0.
        alpha: the weight where both models agree, above 0.
        lambda1: for ``advanced``, 0 < lambda2 <= lambda1 <= 1.
        lambda2: for ``advanced``.
        kappa: for ``prob``, in place of k, above 0.

    Attributes:
        reconstruction_: the variant, so that files and results say what this is.

    Source: reconstruction of Lv, Chen, Zhou, Li and Guo, Contrast-Aware Calibration for Fine-Tuned CLIP, 2025
    (arXiv 2501.19060), whose equation 3 is not public in full.

    Example:
        >>> images = Predictions(logits=[[25.0, 20.0], [30.0, 14.0]], zero_shot_logits=[[25.0, 20.0], [24.0, 20.0]])
        >>> cac = ContrastAware().fit(images)
        >>> cac.sample_weights(images).round(3)
        array([1.1  , 0.737])
        >>> cac.transform(images).about["cac"]["reconstruction"]
        'l1_mean'
    """

    name: ClassVar[str] = "cac"
    source: ClassVar[str] = "Reconstruction of: Lv et al., Contrast-Aware Calibration for Fine-Tuned CLIP, 2025"
    keeps_argmax: ClassVar[bool] = True
    keeps_sample_order: ClassVar[bool] = False
    transfers: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = False
    reads: ClassVar[tuple[str, ...]] = ("zero_shot_logits",)
    fitted: ClassVar[tuple[str, ...]] = ("reconstruction_",)

    reconstruction_: str

    def __init__(
        self,
        variant: Variant = "l1_mean",
        k: float = 15.0,
        alpha: float = 1.1,
        lambda1: float | None = None,
        lambda2: float | None = None,
        kappa: float | None = None,
    ) -> None:
        self.variant = variant
        self.k = k
        self.alpha = alpha
        self.lambda1 = lambda1
        self.lambda2 = lambda2
        self.kappa = kappa

    def sample_weights(self, predictions: Predictions) -> Float64:
        """Compute the weight of every sample.

        Args:
            predictions: N samples with `zero_shot_logits`; ``l1_sum_cos`` reads both logit scales as well.

        Returns:
            float64 [N], positive.

        Raises:
            InputError: if something that it reads is missing, a parameter is missing or out of range, or the two models
                lie so far apart that nothing would be left of the logits.
        """
        self._check_parameters()
        (zero_shot,) = needed_fields(predictions, self.reads, self.name)
        match self.variant:
            case "l1_mean":
                weights = self.alpha * np.exp(-mean_distance(predictions, zero_shot) / self.k)
            case "l1_sum_cos":
                weights = self.alpha * np.exp(-cosine_distance(predictions, zero_shot) / self.k)
            case "advanced":
                weights = self._in_pieces(np.exp(-mean_distance(predictions, zero_shot) / self.k))
            case "prob":
                weights = self.alpha * np.exp(-total_variation(predictions.logits, zero_shot) / _given(self.kappa))
        lost = np.flatnonzero(weights < SMALLEST)
        if len(lost):
            raise InputError(
                f"calibrator 'cac': tuned and zero-shot logits lie so far apart in row {lost[0]} that its weight is "
                f"{weights[lost[0]]:.1g} and no confidence is left; are both on one scale? Otherwise use variant 'prob'"
            )
        return weights

    def transform(self, predictions: Predictions) -> Predictions:
        """Weight the logits, keep the weights beside them and say that this is a reconstruction.

        Args:
            predictions: N samples, as for `sample_weights`.

        Returns:
            The same samples with new logits, float64 [N, C], the column ``cac_weight`` [N], and ``about["cac"]`` with
            the variant under ``reconstruction`` and the parameters.

        Raises:
            InputError: as for `sample_weights`.
        """
        self._check_use(predictions)
        weights = self.sample_weights(predictions)
        given = {name: value for name, value in self.get_params().items() if name != "variant" and value is not None}
        return replace(
            predictions,
            logits=_weighted(predictions.logits, weights),
            columns={**predictions.columns, "cac_weight": weights},
            about={**predictions.about, "cac": {"reconstruction": self.variant, **given}},
        )

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        self.sample_weights(predictions)
        self.reconstruction_ = self.variant
        if predictions.labels is not None and (predictions.labels >= 0).any():
            warnings.warn(_what_labels_say(predictions), CalibrantWarning, stacklevel=3)

    def _logits(self, predictions: Predictions) -> Float64:
        return _weighted(predictions.logits, self.sample_weights(predictions))

    def _check_use(self, predictions: Predictions) -> None:
        super()._check_use(predictions)
        before, now = len(self.classes_), len(predictions.classes)
        if self.variant == "l1_sum_cos" and before != now:
            warnings.warn(
                f"calibrator 'cac': the distance l1_sum_cos grows with the number of classes, which was {before} at "
                f"fit and is {now} now; l1_mean does not",
                CalibrantWarning,
                stacklevel=4,
            )

    def _check_restored(self) -> None:
        if self.reconstruction_ != self.variant:
            raise InputError(f"calibrator 'cac' of variant '{self.variant}' is called '{self.reconstruction_}'")

    def _in_pieces(self, closeness: Float64) -> Float64:
        alike, apart = closeness >= _given(self.lambda1), closeness < _given(self.lambda2)
        return np.where(alike, self.alpha * closeness, np.where(apart, closeness**2, closeness))

    def _check_parameters(self) -> None:
        if self.variant not in VARIANTS:
            raise unknown("variant of calibrator 'cac'", str(self.variant), VARIANTS)
        for variant, names in OWN.items():
            for name in names:
                value = getattr(self, name)
                if variant == self.variant and value is None:
                    raise InputError(f"variant '{variant}' of calibrator 'cac' needs {name}: no value is published")
                if variant != self.variant and value is not None:
                    raise InputError(f"{name} belongs to variant '{variant}' of calibrator 'cac', not '{self.variant}'")
        for name, value in self.get_params().items():
            if name == "variant" or (value is None and name not in ("k", "alpha")):
                continue
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < np.inf:
                raise InputError(f"{name} of calibrator 'cac' must be a positive number, not {value!r}")
        if self.lambda1 is not None and self.lambda2 is not None and not self.lambda2 <= self.lambda1 <= 1:
            raise InputError(
                f"calibrator 'cac' wants lambda2 <= lambda1 <= 1, not lambda1 {self.lambda1:g} "
                f"and lambda2 {self.lambda2:g}"
            )


def mean_distance(predictions: Predictions, zero_shot: Array) -> Float64:
    """Mean over classes of the difference between tuned and zero-shot logits, at the zero-shot logit scale if known.

    Args:
        predictions: N samples.
        zero_shot: their zero-shot logits [N, C].

    Returns:
        float64 [N], 0 or more, in units of logits.

    Example:
        >>> mean_distance(Predictions(logits=[[25.0, 20.0]]), np.array([[24.0, 17.0]]))
        array([2.])
    """
    scale, zero_shot_scale = predictions.logit_scale, predictions.zero_shot_logit_scale
    common = 1.0 if scale is None or zero_shot_scale is None else zero_shot_scale / scale
    distances: Float64 = np.abs(predictions.logits.astype(np.float64) * common - zero_shot).mean(axis=1)
    return distances


def cosine_distance(predictions: Predictions, zero_shot: Array) -> Float64:
    """Sum over classes of the difference between tuned and zero-shot cosines.

    Args:
        predictions: N samples, with both logit scales.
        zero_shot: their zero-shot logits [N, C].

    Returns:
        float64 [N], 0 or more.

    Raises:
        InputError: if a logit scale is missing.

    Example:
        >>> tuned = Predictions(logits=[[25.0, 20.0]], logit_scale=100, zero_shot_logit_scale=50)
        >>> cosine_distance(tuned, np.array([[12.0, 8.0]])).round(3)
        array([0.05])
    """
    scale, zero_shot_scale = predictions.logit_scale, predictions.zero_shot_logit_scale
    if scale is None or zero_shot_scale is None:
        raise InputError(
            "variant 'l1_sum_cos' of calibrator 'cac' compares cosines, and needs logit_scale and "
            "zero_shot_logit_scale in the predictions"
        )
    distances: Float64 = np.abs(predictions.logits.astype(np.float64) / scale - zero_shot / zero_shot_scale).sum(axis=1)
    return distances


def total_variation(logits: Array, zero_shot: Array) -> Float64:
    """Half the L1 distance between the probabilities of two models: the mass on which they disagree.

    Args:
        logits: [N, C] of one model.
        zero_shot: [N, C] of the other.

    Returns:
        float64 [N], 0 to 1.

    Example:
        >>> total_variation(np.array([[100.0, 0.0]]), np.array([[0.0, 100.0]]))
        array([1.])
    """
    distances: Float64 = np.abs(softmax(logits) - softmax(zero_shot)).sum(axis=1) / 2
    return distances


def _weighted(logits: Array, weights: Float64) -> Float64:
    result: Float64 = weights[:, None] * logits.astype(np.float64)
    return result


def _given(value: float | None) -> float:
    """A parameter that the check has found to be there."""
    assert value is not None
    return value


def _what_labels_say(predictions: Predictions) -> str:
    """Say that labels teach CAC nothing, and whether they show that it had better not be used."""
    assert predictions.labels is not None
    assert predictions.zero_shot_logits is not None
    inside = predictions.labels >= 0
    labels = predictions.labels[inside]
    zero_shot, tuned = (
        calibration_error(softmax(logits[inside]), labels)
        for logits in (predictions.zero_shot_logits, predictions.logits)
    )
    if zero_shot > tuned:
        return (
            "cac, a reconstruction, takes the zero-shot model as its measure, and that is worse calibrated here "
            f"(ECE {zero_shot:.3f}, n = {len(labels)}) than the tuned one (ECE {tuned:.3f}); cac learns nothing from "
            "labels that would make up for it"
        )
    return (
        "cac, a reconstruction, learns nothing from labels; they only showed that the zero-shot model is no worse "
        "calibrated than the tuned one, as cac needs"
    )
