"""Answer or be unsure: the confidence from which on wrong answers are rare enough, and how certain that is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Array, Float64, Int64, as_array, as_floats
from calibrant.errors import InputError
from calibrant.metrics.binomial import clopper_pearson, effective_counts
from calibrant.metrics.bootstrap import unit_index

CERTAINTY = 0.95
STEPS = 50  # thresholds that are laid out at most; closer ones would stop the sequence at every lucky or unlucky image


@dataclass(frozen=True)
class AnswerRule:
    """From which confidence on to answer, and the evidence for it.

    Args:
        risk: the share of answers that may be wrong.
        certainty: how certain it is that no more are.
        threshold: the lowest confidence that is answered; None if none keeps the promise.
        images: how many images it was tested on.
        answered: how many of them have at least that confidence; without a threshold, those of the first one tested.
        errors: how many of these answers are wrong.
        bound: upper end of the one-sided interval of the share of wrong answers.
    """

    risk: float
    certainty: float
    threshold: float | None
    images: int
    answered: int
    errors: int
    bound: float

    @property
    def coverage(self) -> float:
        """The share of images that are answered; 0 without a threshold."""
        return 0.0 if self.threshold is None else self.answered / self.images

    def answers(self, confidence: Any) -> npt.NDArray[np.bool_]:
        """Say which images to answer.

        Args:
            confidence: of the answers [N], by the calibrator that the rule was made for.

        Returns:
            bool [N].

        Raises:
            InputError: if there is no threshold.
        """
        if self.threshold is None:
            raise InputError(self.sentence())
        sure: npt.NDArray[np.bool_] = as_floats(confidence, "confidence", (None,)) >= self.threshold
        return sure

    def sentence(self) -> str:
        """Say it in plain words.

        Example:
            >>> AnswerRule(0.05, 0.95, 0.8712, 400, 284, 6, 0.041).sentence()
            'Answers above 0.87 (71 % of images): at most 5 % wrong, 95 % certain (n = 284, 6 errors).'
            >>> print(AnswerRule(0.01, 0.95, None, 400, 120, 2, 0.05).sentence())
            No confidence makes sure that at most 1 % of answers are wrong, 95 % certain: among the 120 surest of 400
            images there are 2 errors. About 300 answers without an error are needed.
        """
        promise = f"{100 * self.risk:g} %"
        errors = f"{self.errors} error" + ("" if self.errors == 1 else "s")
        certain = f"{100 * self.certainty:g} % certain"
        if self.threshold is None:
            return (
                f"No confidence makes sure that at most {promise} of answers are wrong, {certain}: among the "
                f"{self.answered} surest of {self.images} images there {'is' if self.errors == 1 else 'are'} {errors}. "
                f"{needed_words(self.risk, self.certainty)} are needed."
            )
        return (
            f"Answers above {shown(self.threshold)} ({100 * self.coverage:.0f} % of images): at most {promise} wrong, "
            f"{certain} (n = {self.answered}, {errors})."
        )

    def record(self) -> dict[str, Any]:
        """Give the fields as JSON can hold them; ``AnswerRule(**record)`` is the rule again."""
        return asdict(self)


def answers_needed(risk: float, certainty: float = CERTAINTY) -> int:
    """Count the independent answers without an error that prove a risk.

    Args:
        risk: the share of answers that may be wrong.
        certainty: how certain it is to be that no more are.

    Returns:
        The smallest n with (1 - risk)^n at most 1 - certainty.

    Raises:
        InputError: if one of them does not lie between 0 and 1.

    Example:
        >>> answers_needed(0.01), answers_needed(0.05)
        (299, 59)
    """
    check_promise(risk, certainty)
    return math.ceil(math.log1p(-certainty) / math.log1p(-risk) - 1e-9)


def candidate_thresholds(
    confidence: Any,
    correct: Any,
    *,
    risk: float,
    certainty: float = CERTAINTY,
    images: int,
    units: Any = None,
) -> Float64:
    """Lay out the thresholds to test, in the order in which to test them.

    The first is the one that looks safest once `images` others are there to test it on; those after it are lower and
    lower, so that more and more images are answered.

    Args:
        confidence: of the answers to M images [M] that are not used for the test.
        correct: whether they are right, bool [M].
        risk: the share of answers that may be wrong.
        certainty: how certain it is to be that no more are.
        images: how many images there are for the test.
        units: one value [M] per image, equal for images that depend on each other; None if all are independent.

    Returns:
        float64 [T], descending, at least one and at most 50.

    Raises:
        InputError: if there is no image, the lengths differ, or risk or certainty is no share.

    Source: the split version of fixed sequence testing: Angelopoulos, Bates, Candès, Jordan and Lei, Learn then test,
    2021.

    Example:
        >>> candidate_thresholds([0.9, 0.8, 0.7, 0.6], [True, True, True, False], risk=0.1, images=100)
        array([0.7, 0.6])
    """
    check_promise(risk, certainty)
    sure, right, unit = _checked(confidence, correct, units)
    ranks = np.unique(np.ceil(np.linspace(1 / STEPS, 1, STEPS) * len(sure)).astype(np.int64))
    levels = np.unique(np.sort(sure)[::-1][ranks - 1])[::-1]
    evidence = [_evidence(sure, right, unit, level) for level in levels]
    scale = images / len(sure)
    chances = [_chance(scale * wrong, scale * number, risk) for _, _, wrong, number in evidence]
    return np.asarray(levels[int(np.argmin(chances)) :], dtype=np.float64)


def answer_rule(
    confidence: Any,
    correct: Any,
    *,
    risk: float,
    candidates: Any,
    certainty: float = CERTAINTY,
    units: Any = None,
) -> AnswerRule:
    """Find the lowest confidence from which on at most a share `risk` of answers is wrong.

    The candidates are tested one after the other, each with the exact binomial test at level 1 - certainty, until one
    fails; the last that passed is taken. So the whole search errs with a chance of at most 1 - certainty, whatever the
    model and however confidence and risk hang together, if the candidates were laid out without these images. Where
    images depend on each other, their effective number stands for n, which is an approximation.

    Args:
        confidence: of the answers [N], by a calibrator that has not learned from these images.
        correct: whether they are right, bool [N].
        risk: the share of answers that may be wrong.
        candidates: thresholds in the order of testing, such as `candidate_thresholds` of other images.
        certainty: how certain it is to be that no more are.
        units: one value [N] per image, equal for images that depend on each other; None if all are independent.

    Returns:
        The rule, which has no threshold if the first candidate fails.

    Raises:
        InputError: if there is no image or candidate, the lengths differ, or risk or certainty is no share.

    Source: fixed sequence testing in Angelopoulos, Bates, Candès, Jordan and Lei, Learn then test, 2021; with the
    binomial test: Bauer, Multiple testing in clinical trials, 1991.

    Example:
        >>> rule = answer_rule([0.9] * 60 + [0.5] * 40, [True] * 80 + [False] * 20, risk=0.05, candidates=[0.9, 0.5])
        >>> rule.threshold, rule.answered, round(rule.bound, 4)
        (0.9, 60, 0.0487)
    """
    check_promise(risk, certainty)
    sure, right, unit = _checked(confidence, correct, units)
    order = as_floats(np.asarray(candidates, dtype=np.float64), "candidates", (None,))
    if len(order) == 0:
        raise InputError("there must be at least one threshold to test")
    passed: float | None = None
    found = _evidence(sure, right, unit, order[0])
    for threshold in order:
        tested = _evidence(sure, right, unit, threshold)
        if _chance(*tested[2:], risk) > 1 - certainty:
            break
        passed, found = float(threshold), tested
    answered, errors, wrong, number = found
    return AnswerRule(risk, certainty, passed, len(sure), answered, errors, _upper(wrong, number, certainty))


def check_promise(risk: float, certainty: float) -> None:
    """Refuse a risk or certainty that is no share."""
    for what, value in (("risk, the share of answers that may be wrong,", risk), ("certainty", certainty)):
        if not 0 < value < 1:
            raise InputError(f"the {what} must lie between 0 and 1, such as 0.05, not at {value:g}")


def needed_words(risk: float, certainty: float) -> str:
    """Say about how many answers without an error prove a risk: two digits, rounded up.

    Example:
        >>> needed_words(0.01, 0.95), needed_words(0.05, 0.95)
        ('About 300 answers without an error', 'About 59 answers without an error')
    """
    exact = answers_needed(risk, certainty)
    step = 10 ** max(0, len(str(exact)) - 2)
    return f"About {step * math.ceil(exact / step):,} answers without an error"


def shown(threshold: float) -> str:
    """Write a threshold with two digits, or as many as keep it apart from 1.

    Example:
        >>> shown(0.8712), shown(0.99964), shown(1.0)
        ('0.87', '0.9996', '1')
    """
    if threshold >= 1:
        return "1"
    digits = max(2, min(12, math.ceil(-math.log10(1 - threshold)))) if threshold > 0 else 2
    return f"{math.floor(round(threshold * 10**digits, 6)) / 10**digits:.{digits}f}"  # 100 x 0.29 is below 29


def _checked(confidence: Any, correct: Any, units: Any) -> tuple[Array, npt.NDArray[np.bool_], Int64]:
    sure = as_floats(confidence, "confidence", (None,))
    right = as_array(correct, "correct")
    if len(sure) == 0:
        raise InputError("a threshold needs at least one image")
    if right.shape != sure.shape or right.dtype.kind not in "biu":
        raise InputError(f"correct must be true or false for each of the {len(sure)} images")
    unit, _ = unit_index(units, len(sure))
    return sure, right.astype(bool), unit


def _evidence(sure: Array, right: Array, unit: Int64, threshold: float) -> tuple[int, int, float, float]:
    """Count the answers and errors from a confidence on, and how many independent ones would say as much."""
    chosen = sure >= threshold
    answered, errors = int(chosen.sum()), int((chosen & ~right).sum())
    if answered == 0:
        return 0, 0, 0.0, 0.0
    number = float(effective_counts(right[chosen], np.zeros(answered, dtype=np.int64), 1, unit[chosen])[0])
    return answered, errors, errors / answered * number, number


def _chance(errors: float, number: float, risk: float) -> float:
    """Chance of at most so few errors if the risk were exceeded: the binomial tail, continued to broken numbers."""
    from scipy.special import betainc

    return float(betainc(number - errors, errors + 1, 1 - risk)) if number > errors else 1.0


def _upper(errors: float, number: float, certainty: float) -> float:
    """One-sided upper end of the share of errors; the two-sided interval has half of the doubt on each side."""
    return float(clopper_pearson(errors, number, 2 * certainty - 1)[1]) if number > 0 else 1.0
