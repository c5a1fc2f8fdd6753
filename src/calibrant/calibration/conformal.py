"""Conformal prediction sets: as many classes as are needed to hold the right one in a promised share of cases."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Array, Float64
from calibrant.calibration.calibrator import Calibrator, given_labels, same_classes
from calibrant.calibration.conformal_scores import adaptive_scores, level_of, rank_penalty, threshold_scores
from calibrant.errors import CalibrantWarning, InputError
from calibrant.predictions import Predictions

FIT, USE = 0, 1  # what draws are for
ROWS = 4096  # rows that are ranked at a time


class ConformalSets(ABC):
    """Sets that hold the right class in at least a share 1 - `alpha` of images like those that they were fitted on.

    The promise is one on average over images and fitted sets, and needs no assumption about the model: only that the
    images of `fit` and of `sets` are exchangeable. It says nothing about shifted images. Where a calibrator is used
    that learned from labels, fit the sets on other images than the calibrator.

    Args:
        alpha: share of sets that may miss the right class, between 0 and 1.
        calibrator: a fitted calibrator whose probabilities are used; None for those of the model.

    Attributes:
        name: what tables call it.
        source: where it was published.
        threshold_: the largest score with which a class is in a set; infinite if the images are too few for `alpha`.
        classes_: the class names that it was fitted on.
    """

    name: ClassVar[str]
    source: ClassVar[str]

    threshold_: float
    classes_: list[str]

    def __init__(self, alpha: float = 0.1, *, calibrator: Calibrator | None = None) -> None:
        self.alpha, self.calibrator = checked_alpha(alpha), calibrator

    @abstractmethod
    def scores(self, probabilities: Array, draws: Float64) -> Float64:
        """Say how strange each class would be as the answer, float64 [N, C].

        Args:
            probabilities: [N, C].
            draws: float64 [N] in 0 to 1, for scores that depend on chance; otherwise 0.
        """

    def fit(self, predictions: Any, labels: Any = None) -> Self:
        """Learn on held-out samples how strange the right class may look.

        Args:
            predictions: `Predictions` with labels, or bare logits [N, C].
            labels: class indices [N], only beside bare logits.

        Returns:
            The same object.

        Raises:
            InputError: if there are no labels, or a sample belongs to none of the classes.

        Warns:
            CalibrantWarning: if the samples are too few, so that every set will hold all classes.
        """
        given = as_predictions(predictions, labels)
        own = self._scores_of_labels(given)
        self.classes_ = list(given.classes)
        self.threshold_ = level_of(own, self.alpha)
        if math.isinf(self.threshold_):
            needed = math.ceil(1 / self.alpha - 1 - 1e-9)
            warnings.warn(
                f"{len(own)} samples are too few for sets that miss at most {100 * self.alpha:g} %: every set will "
                f"hold all classes; at least {needed} are needed",
                CalibrantWarning,
                stacklevel=2,
            )
        return self

    def sets(self, predictions: Any) -> npt.NDArray[np.bool_]:
        """Choose the classes that each sample may belong to.

        Args:
            predictions: `Predictions` of the classes that it was fitted on, or bare logits [N, C].

        Returns:
            bool [N, C].

        Raises:
            InputError: if it is not fitted, or the class list is another.
        """
        given = as_predictions(predictions, None)
        self._check_use(given)
        limits = self._limits()
        return np.concatenate([block <= limits for block in self._blocks(given, USE)])

    def _limits(self) -> float | Float64:
        return self.threshold_

    def _scores_of_labels(self, given: Predictions) -> Float64:
        rest, own = given_labels(given, self.name), []
        for block in self._blocks(given, FIT):
            labels, rest = rest[: len(block)], rest[len(block) :]
            own.append(block[np.arange(len(block)), labels])
        return np.concatenate(own)

    def _blocks(self, given: Predictions, purpose: int) -> Iterator[Float64]:
        table, draws = self._probabilities(given), self._draws(len(given), purpose)
        for start in range(0, len(given), ROWS):
            yield self.scores(table[start : start + ROWS], draws[start : start + ROWS])

    def _draws(self, samples: int, purpose: int) -> Float64:
        return np.zeros(samples)

    def _probabilities(self, given: Predictions) -> Float64:
        return given.probabilities() if self.calibrator is None else self.calibrator(given)

    def _check_use(self, given: Predictions) -> None:
        if not hasattr(self, "classes_"):
            raise InputError(f"the sets '{self.name}' are not fitted; call fit on held-out predictions first")
        if not same_classes(given.classes, self.classes_):
            raise InputError(
                f"the sets '{self.name}' were fitted on {len(self.classes_)} classes "
                "and promise nothing for another class list"
            )


class ThresholdSets(ConformalSets):
    """All classes whose probability is high enough (split conformal, THR or LAC): the smallest sets on average.

    Sets can be empty where every class is unlikely.

    Args:
        alpha: share of sets that may miss the right class, between 0 and 1.
        calibrator: a fitted calibrator whose probabilities are used; None for those of the model.

    Source: Sadinle, Lei and Wasserman, Least ambiguous set-valued classifiers with bounded error levels, JASA 2019;
    split conformal sets: Vovk, Gammerman and Shafer, Algorithmic learning in a random world, 2005.

    Example:
        >>> logits = np.log([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]])
        >>> found = ThresholdSets(alpha=0.25).fit(np.tile(logits, (10, 1)), [0, 1] * 10)
        >>> found.sets(logits)
        array([[ True, False, False],
               [ True,  True, False]])
    """

    name: ClassVar[str] = "thr"
    source: ClassVar[str] = "Sadinle et al., JASA 2019"

    def scores(self, probabilities: Array, draws: Float64) -> Float64:
        return threshold_scores(probabilities)


class AdaptiveSets(ConformalSets):
    """The likeliest classes until enough probability is gathered (APS): larger sets for harder images.

    Without a seed a set is never empty, and holds the right class a little more often than promised. With a seed the
    last class is left out at random, which makes the share exact and some sets empty.

    Args:
        alpha: share of sets that may miss the right class, between 0 and 1.
        seed: of the draws; None for sets that do not depend on chance.
        calibrator: a fitted calibrator whose probabilities are used; None for those of the model.

    Source: Romano, Sesia and Candès, Classification with valid and adaptive coverage, NeurIPS 2020.

    Example:
        >>> logits = np.log([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]])
        >>> found = AdaptiveSets(alpha=0.25).fit(np.tile(logits, (10, 1)), [0, 1] * 10)
        >>> found.sets(logits).sum(axis=1), round(found.threshold_, 3)
        (array([1, 2]), 0.4)
    """

    name: ClassVar[str] = "aps"
    source: ClassVar[str] = "Romano et al., NeurIPS 2020"

    def __init__(self, alpha: float = 0.1, *, seed: int | None = None, calibrator: Calibrator | None = None) -> None:
        super().__init__(alpha, calibrator=calibrator)
        self.seed = seed

    def scores(self, probabilities: Array, draws: Float64) -> Float64:
        return adaptive_scores(probabilities, draws)

    def _draws(self, samples: int, purpose: int) -> Float64:
        if self.seed is None:
            return super()._draws(samples, purpose)
        return np.random.default_rng([self.seed, purpose]).random(samples)


class RegularizedSets(AdaptiveSets):
    """Adaptive sets that pay for every class beyond the first few (RAPS): without the long tails of APS.

    Args:
        alpha: share of sets that may miss the right class, between 0 and 1.
        penalty: added to the score for every rank beyond `free`, at least 0.
        free: how many classes cost nothing.
        seed: of the draws; None for sets that do not depend on chance.
        calibrator: a fitted calibrator whose probabilities are used; None for those of the model.

    Source: Angelopoulos, Bates, Jordan and Malik, Uncertainty sets for image classifiers using conformal prediction,
    ICLR 2021. `penalty` and `free` are the paper's lambda and k_reg, which it also chooses on images set aside.

    Example:
        >>> logits = np.log([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]])
        >>> found = RegularizedSets(alpha=0.25, penalty=0.1, free=1).fit(np.tile(logits, (10, 1)), [0, 1] * 10)
        >>> found.sets(logits).sum(axis=1), round(found.threshold_, 3)
        (array([1, 2]), 0.5)
    """

    name: ClassVar[str] = "raps"
    source: ClassVar[str] = "Angelopoulos et al., ICLR 2021"

    def __init__(
        self,
        alpha: float = 0.1,
        *,
        penalty: float = 0.01,
        free: int = 5,
        seed: int | None = None,
        calibrator: Calibrator | None = None,
    ) -> None:
        super().__init__(alpha, seed=seed, calibrator=calibrator)
        if not (math.isfinite(penalty) and penalty >= 0 and free >= 0):
            raise InputError(f"penalty and free must not be negative, but are {penalty} and {free}")
        self.penalty, self.free = penalty, free

    def scores(self, probabilities: Array, draws: Float64) -> Float64:
        return super().scores(probabilities, draws) + self.penalty * rank_penalty(probabilities, self.free)


class ClassConditionalSets(ConformalSets):
    """Sets with a threshold for every class, so that the promise holds for each class by itself.

    A class with fewer than about 1 / `alpha` samples is in every set: nothing can be promised otherwise.

    Args:
        sets: whose scores and `alpha` are used; it is not changed.

    Attributes:
        thresholds_: float64 [C], infinite for a class with too few samples.

    Source: Vovk, Conditional validity of inductive conformal predictors, ACML 2012 (label conditional).

    Example:
        >>> logits = np.log([[0.7, 0.3], [0.6, 0.4]])
        >>> found = ClassConditionalSets(ThresholdSets(alpha=0.25)).fit(np.tile(logits, (10, 1)), [0, 1] * 10)
        >>> found.thresholds_.round(2), found.sets(logits)
        (array([0.3, 0.6]), array([[ True, False], [False, True]]))
    """

    name: ClassVar[str] = "class-conditional"
    source: ClassVar[str] = "Vovk, ACML 2012"

    thresholds_: Float64

    def __init__(self, sets: ConformalSets) -> None:
        super().__init__(sets.alpha, calibrator=sets.calibrator)
        self.inner = sets

    def scores(self, probabilities: Array, draws: Float64) -> Float64:
        return self.inner.scores(probabilities, draws)

    def _draws(self, samples: int, purpose: int) -> Float64:
        return self.inner._draws(samples, purpose)

    def fit(self, predictions: Any, labels: Any = None) -> Self:
        """Learn, class by class, how strange the right class may look; as `ConformalSets.fit`."""
        given = as_predictions(predictions, labels)
        own, truth = self._scores_of_labels(given), given_labels(given, self.name)
        self.classes_ = list(given.classes)
        self.thresholds_ = np.array([level_of(own[truth == one], self.alpha) for one in range(len(self.classes_))])
        self.threshold_ = float(self.thresholds_.max())
        always = [name for name, limit in zip(self.classes_, self.thresholds_, strict=True) if math.isinf(limit)]
        if always:
            warnings.warn(
                f"{len(always)} of {len(self.classes_)} classes, such as '{always[0]}', have too few samples for "
                f"alpha {self.alpha:g} and will be in every set",
                CalibrantWarning,
                stacklevel=2,
            )
        return self

    def _limits(self) -> float | Float64:
        return self.thresholds_


def checked_alpha(alpha: float) -> float:
    """Refuse a share that is none."""
    if not 0 < alpha < 1:
        raise InputError(
            f"alpha, the share of sets that may miss the right class, lies between 0 and 1, not at {alpha}"
        )
    return alpha


def as_predictions(predictions: Any, labels: Any) -> Predictions:
    """Take predictions as they are, and bare logits with their labels as predictions."""
    if not isinstance(predictions, Predictions):
        return Predictions(logits=predictions, labels=labels)
    if labels is not None:
        raise InputError("labels were given twice: inside the predictions and beside them")
    return predictions
