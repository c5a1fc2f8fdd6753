"""How much an image looks like one of the classes, and below which score it is none of them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Float64, as_floats
from calibrant.calibration.nearness import nearness
from calibrant.errors import InputError, unknown
from calibrant.metrics.unknown import KEPT, energy, max_softmax
from calibrant.predictions import Predictions

NEIGHBOURS = 10
NOUNS = "class_share"  # the column that holds the share of the classes among classes and nouns
SCORES = {
    "mcm": "largest softmax of the cosines at temperature 1 (of the logits, where their scale is not known)",
    "energy": "log-sum-exp of the logits",
    "nearness": f"exp of minus the mean distance to the {NEIGHBOURS} nearest reference images, in image features",
    "nouns": "softmax mass of the classes among classes and nouns that name none of them",
}


def known_score(predictions: Predictions, score: str) -> Float64:
    """Score how much each image looks like one of the classes; higher means known.

    Args:
        predictions: N samples. ``"nearness"`` reads their image features and reference image features, of which an
            image is not its own neighbour; ``"nouns"`` reads the column ``class_share``.
        score: one of `SCORES`.

    Returns:
        float64 [N].

    Raises:
        InputError: if there is no such score, or the predictions lack what it reads.

    Source: mcm: Ming et al. 2022; energy: Liu et al. 2020; nearness: Sun et al., Out-of-distribution detection with
    deep nearest neighbors, 2022, with the mean of the k nearest distances in place of the k-th; nouns: Jiang et al.
    2024.

    Example:
        >>> known_score(Predictions(logits=[[30.0, 10.0], [20.0, 20.0]], logit_scale=100.0), "mcm").round(3)
        array([0.55, 0.5 ])
    """
    if score not in SCORES:
        raise unknown("score of unknown images", score, SCORES)
    if lacking := _lacking(predictions, score):
        raise InputError(f"the score {score} needs {lacking}, which these predictions lack")
    if score == "mcm":
        return max_softmax(predictions.logits / (predictions.logit_scale or 1.0))
    if score == "energy":
        return energy(predictions.logits)
    if score == "nouns":
        return predictions.columns[NOUNS].astype(np.float64)
    assert predictions.image_features is not None
    assert predictions.reference_image_features is not None
    return nearness(predictions.image_features, predictions.reference_image_features, NEIGHBOURS)


def available(predictions: Predictions) -> list[str]:
    """List the scores that predictions have all for.

    Example:
        >>> available(Predictions(logits=[[1.0, 0.0]]))
        ['mcm', 'energy']
    """
    return [score for score in SCORES if not _lacking(predictions, score)]


@dataclass(frozen=True)
class KnownRule:
    """From which score on an image counts as one of the classes.

    Args:
        score: one of `SCORES`.
        keep: the share of images of the classes that is to count so.
        threshold: the lowest score that does.
        images: how many images it was fitted on.
        kept: how many of them have at least that score.
    """

    score: str
    keep: float
    threshold: float
    images: int
    kept: int

    def known(self, scores: Any) -> npt.NDArray[np.bool_]:
        """Say which images count as known.

        Args:
            scores: [N], by the same score.

        Returns:
            bool [N].
        """
        found: npt.NDArray[np.bool_] = as_floats(scores, "scores", (None,)) >= self.threshold
        return found

    def sentence(self) -> str:
        """Say it in plain words.

        Example:
            >>> KnownRule("mcm", 0.95, 0.012, 400, 381).sentence()
            'None of these below a score (mcm) that 381 of 400 validation images reach.'
        """
        return f"None of these below a score ({self.score}) that {self.kept} of {self.images} validation images reach."

    def record(self) -> dict[str, Any]:
        """Give the fields as JSON can hold them; ``KnownRule(**record)`` is the rule again."""
        return asdict(self)


def known_rule(scores: Any, score: str, keep: float = KEPT) -> KnownRule:
    """Find the score that a share of images of the classes reaches.

    An image of the classes to come reaches it with at least that chance, if it is like those that it is fitted on: the
    threshold lies where this holds on average over the draw of these.

    Args:
        scores: of images of the classes, [N].
        score: which score it is.
        keep: the share that is to reach it, above 0 and below 1.

    Returns:
        The rule.

    Raises:
        InputError: if the share is none, or there are too few images for it.

    Source: the quantile of split conformal prediction, as for outliers in Bates et al., Testing for outliers with
    conformal p-values, 2023.

    Example:
        >>> known_rule(range(40), "mcm").threshold
        1.0
    """
    if not 0 < keep < 1:
        raise InputError(f"the share of known images to keep must lie between 0 and 1, such as 0.95, not at {keep:g}")
    falling = np.sort(as_floats(np.asarray(scores, dtype=np.float64), "scores", (None,)))[::-1]
    place = math.ceil(keep * (len(falling) + 1) - 1e-9)
    if place > len(falling):
        needed = math.ceil(keep / (1 - keep) - 1e-9)
        raise InputError(
            f"to keep {100 * keep:g} % of known images the threshold is fitted on at least {needed} of them, "
            f"not on {len(falling)}"
        )
    threshold = float(falling[place - 1])
    return KnownRule(score, float(keep), threshold, len(falling), int((falling >= threshold).sum()))


def _lacking(predictions: Predictions, score: str) -> str:
    """Name what a score reads and predictions do not have."""
    if score == "nouns" and NOUNS not in predictions.columns:
        return f"the column {NOUNS}"
    if score == "nearness":
        fields = ("image_features", "reference_image_features")
        return " and ".join(name for name in fields if getattr(predictions, name) is None)
    return ""
