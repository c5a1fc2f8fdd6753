"""A confidence for "the answer is right and rests on the object", learned with masks and used without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from calibrant.arrays import Float64
from calibrant.errors import InputError
from calibrant.metrics.binning import binned
from calibrant.metrics.calibration import error_of
from calibrant.metrics.ranking import area_under_roc, rank
from calibrant.rationality.cells import THRESHOLD, checked
from calibrant.rationality.confidence_in_cells import as_confidence
from calibrant.rationality.heat_maps import HeatMaps, same_settings
from calibrant.rationality.map_shape import STATISTICS, map_statistics
from calibrant.storage import read_json, write_json

FEATURES = ("logit of confidence", *STATISTICS)
FORMAT = 1
KIND = "right-reason"
ROUNDING = 1e-9  # a feature that varies by less does not vary; dividing by it would blow rounding up
NEAREST = 1e-6  # confidence of exactly 1 has no finite logit


class RightReason:
    """Logistic regression of the event "right answer and valid evidence" on confidence and the shape of the map.

    Fit it on images with masks, of which the answer, its relevance mass and its map are known; use it where there are
    none. In use the label is unknown, so the maps must explain the *prediction*, in fitting, too. The features are the
    logit of the confidence and `map_statistics`, each standardised.

    Args:
        threshold: from which relevance mass on evidence is valid.
        penalty: of the squared weights (scikit-learn's 1 / C).

    Attributes:
        weights_: float64 [6], of the standardised features in the order of `FEATURES`.
        bias_: what is added to them.
        means_: float64 [6], of the features in the fit.
        scales_: float64 [6], their standard deviations; 1 where a feature did not vary.
        settings_: how the maps of the fit were made; maps of other settings are refused.

    Raises:
        InputError: if the threshold is no share or the penalty is not above 0.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> maps = HeatMaps(draw.random((200, 4, 4)), [str(i) for i in range(200)], {"target": "prediction"})
        >>> confidence, mass = draw.random(200), draw.random(200)
        >>> fitted = RightReason().fit(confidence, maps, draw.random(200) < confidence, mass)
        >>> unsure, sure = (fitted.predict([one], maps.subset([0]))[0] for one in (0.2, 0.9))
        >>> bool(unsure < sure < 0.9)
        True
    """

    weights_: Float64
    bias_: float
    means_: Float64
    scales_: Float64
    settings_: dict[str, Any]

    def __init__(self, threshold: float = THRESHOLD, penalty: float = 1.0) -> None:
        if not 0 <= threshold <= 1:
            raise InputError(f"the threshold of the relevance mass is a share from 0 to 1, not {threshold}")
        if not penalty > 0:
            raise InputError(f"the penalty of the weights must be above 0, not {penalty}")
        self.threshold = threshold
        self.penalty = penalty

    def fit(self, confidence: Any, heat_maps: HeatMaps, correct: Any, relevance_mass: Any) -> Self:
        """Learn from images with masks.

        Args:
            confidence: [N], 0 to 1, of the answers; best after ordinary calibration.
            heat_maps: of the answers, in the same order.
            correct: bool [N].
            relevance_mass: float [N], of the same maps; images without evidence are left out.

        Returns:
            The calibrator itself.

        Raises:
            InputError: if lengths differ, the maps say that they explain the label, or the event happened for all
                images or for none.
        """
        from sklearn.linear_model import LogisticRegression

        if heat_maps.settings.get("target") == "label":
            raise InputError("these heat maps explain the label, which is unknown in use; explain the prediction")
        right, mass = checked(correct, relevance_mass, self.threshold)
        features = _features(as_confidence(confidence, len(right)), heat_maps)
        if ((~np.isnan(mass)) & ~heat_maps.evidence).any():
            raise InputError("the relevance mass is not of these heat maps: it has values where a map has no evidence")
        known = ~np.isnan(mass)
        event = right[known] & (mass[known] >= self.threshold)
        if not 0 < event.sum() < len(event):
            raise InputError(
                f"{event.sum()} of {len(event)} images with evidence are right for the right reason; "
                "fitting needs some that are and some that are not"
            )
        self.means_, deviation = features[known].mean(axis=0), features[known].std(axis=0)
        self.scales_ = np.where(deviation > ROUNDING, deviation, 1.0)
        standardised = (features[known] - self.means_) / self.scales_
        regression = LogisticRegression(C=1 / self.penalty, max_iter=1000, tol=1e-8).fit(standardised, event)
        self.weights_, self.bias_ = regression.coef_[0].astype(np.float64), float(regression.intercept_[0])
        self.settings_ = dict(heat_maps.settings)
        return self

    def predict(self, confidence: Any, heat_maps: HeatMaps) -> Float64:
        """Give the probability that each answer is right and rests on the object.

        Args:
            confidence: [N], 0 to 1, of the answers.
            heat_maps: of the answers, in the same order, made as those of the fit.

        Returns:
            float64 [N]; NaN where a map holds no evidence, of which nothing is said.

        Raises:
            InputError: if it is not fitted, lengths differ, or the maps were made differently.
        """
        if not hasattr(self, "weights_"):
            raise InputError("this calibrator is not fitted")
        same_settings(self.settings_, heat_maps)
        features = _features(as_confidence(confidence, len(heat_maps)), heat_maps)
        score = (features - self.means_) / self.scales_ @ self.weights_ + self.bias_
        return np.asarray((1 + np.tanh(score / 2)) / 2)  # the logistic function, which cannot overflow like this

    def save(self, path: str | Path) -> None:
        """Write the fitted calibrator to a JSON file.

        Args:
            path: the file.

        Raises:
            InputError: if it is not fitted, or the file cannot be written.
        """
        if not hasattr(self, "weights_"):
            raise InputError("this calibrator is not fitted")
        learned = {name: getattr(self, name).tolist() for name in ("weights_", "means_", "scales_")}
        state = {"calibrator": KIND, "format": FORMAT, "features": list(FEATURES), "threshold": self.threshold}
        state |= {"penalty": self.penalty, "bias_": self.bias_, "settings_": self.settings_, **learned}
        write_json(path, state)

    @classmethod
    def load(cls, path: str | Path) -> RightReason:
        """Read a calibrator from a file that `save` wrote.

        Args:
            path: the file.

        Returns:
            The fitted calibrator.

        Raises:
            InputError: if the file is missing, of another format, or holds something else.
        """
        state = read_json(path)
        if not isinstance(state, dict) or state.get("calibrator") != KIND:
            raise InputError(f"{path} does not hold a calibrator for the right reason")
        if state.get("format") != FORMAT or state.get("features") != list(FEATURES):
            raise InputError(f"{path} has another format than this Calibrant reads; fit the calibrator again")
        try:
            result = cls(state["threshold"], state["penalty"])
            for name in ("weights_", "means_", "scales_"):
                setattr(result, name, np.array(state[name], dtype=np.float64).reshape(len(FEATURES)))
            result.bias_, result.settings_ = float(state["bias_"]), dict(state["settings_"])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} does not hold a whole calibrator for the right reason ({error})") from error
        return result


def right_reason_summary(
    probability: Any,
    confidence: Any,
    correct: Any,
    relevance_mass: Any,
    *,
    threshold: float = THRESHOLD,
    bins: int = 15,
) -> dict[str, float]:
    """Say how far probabilities of "right for the right reason" can be believed, beside the ordinary confidence.

    Args:
        probability: [N], as `RightReason.predict` gives it.
        confidence: [N], 0 to 1, of the answers.
        correct: bool [N].
        relevance_mass: float [N].
        threshold: from which mass on evidence is valid.
        bins: how many bins of equal width the ECEs have.

    Returns:
        On the images with evidence: ``ece`` of the confidence for "the answer is right" (the ordinary one),
        ``ece_right_reason`` of the probability for "right for the right reason", ``ece_confidence_as_right_reason`` of
        the confidence if it is taken for that, ``auroc_right_reason`` and ``auroc_confidence`` (of both for that event;
        NaN if it happened always or never), ``rate`` (how often it did) and ``n`` (images).

    Raises:
        InputError: as for `summary`, if a number is no probability, or one is missing where there is evidence.

    Example:
        >>> found = right_reason_summary([0.5, 0.5], [1.0, 1.0], [True, True], [0.9, 0.1])
        >>> found["ece"], found["ece_right_reason"], found["ece_confidence_as_right_reason"]
        (0.0, 0.0, 0.5)
    """
    right, mass = checked(correct, relevance_mass, threshold)
    known = ~np.isnan(mass)
    if not known.any():
        raise InputError("no image has evidence, so there is nothing to measure")
    chance = np.asarray(probability, dtype=np.float64)
    if chance.shape != mass.shape:
        raise InputError(f"there are {len(mass)} images but the probabilities have shape {list(chance.shape)}")
    given, sure = as_confidence(chance[known], int(known.sum())), as_confidence(confidence, len(right))[known]
    answer, event = right[known], right[known] & (mass[known] >= threshold)
    return {
        "ece": error_of(binned(sure, answer, bins, "width")),
        "ece_right_reason": error_of(binned(given, event, bins, "width")),
        "ece_confidence_as_right_reason": error_of(binned(sure, event, bins, "width")),
        "auroc_right_reason": float(area_under_roc(rank(given, event).tally())),
        "auroc_confidence": float(area_under_roc(rank(sure, event).tally())),
        "rate": float(event.mean()),
        "n": len(event),
    }


def _features(confidence: Float64, heat_maps: HeatMaps) -> Float64:
    """Lay out `FEATURES`, float64 [N, 6]; NaN where there is no evidence."""
    if len(confidence) != len(heat_maps):
        raise InputError(f"there are {len(confidence)} answers but {len(heat_maps)} heat maps")
    inside = np.clip(confidence, NEAREST, 1 - NEAREST)
    statistics = map_statistics(heat_maps)
    return np.stack([np.log(inside / (1 - inside)), *(statistics[name] for name in STATISTICS)], axis=1)
