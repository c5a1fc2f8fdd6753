"""Decide by what mistakes cost: the answer, or a human, that is expected to be cheapest."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64, as_floats, as_labels, as_probabilities
from calibrant.errors import CalibrantWarning, InputError
from calibrant.metrics.average import average
from calibrant.metrics.estimate import Estimate
from calibrant.metrics.paired import paired_difference

ASK = -1  # the decision to ask a human


@dataclass(frozen=True, eq=False)
class Costs:
    """What each answer costs, and what a human costs.

    Args:
        classes: C unique names.
        of_answers: float64 [C, C]: row the true class, column the answer.
        of_asking: float64 [C], what asking a human costs for an image of each true class; None if nobody can be asked.

    Raises:
        InputError: if shapes disagree or a cost is not finite.

    Warns:
        CalibrantWarning: if a wrong answer costs less than the right one, which is often a table on its side.

    Example:
        >>> costs = Costs(["cat", "dog"], [[0.0, 1.0], [9.0, 0.0]], [0.5, 0.5])
        >>> costs.decide([[0.97, 0.03], [0.8, 0.2], [0.3, 0.7]])
        array([ 0, -1,  1])
    """

    classes: Sequence[str]
    of_answers: Array
    of_asking: Array | None = None

    def __post_init__(self) -> None:
        many = len(self.classes)
        if many < 2 or len(set(self.classes)) != many:
            raise InputError("costs need at least two classes with unique names")
        table = as_floats(np.asarray(self.of_answers, dtype=np.float64), "costs", (many, many))
        object.__setattr__(self, "of_answers", table)
        if self.of_asking is not None:
            asking = as_floats(np.asarray(self.of_asking, dtype=np.float64), "costs of asking", (many,))
            object.__setattr__(self, "of_asking", asking)
        rewarded = np.argwhere(table < np.diagonal(table)[:, None])
        if len(rewarded):
            true, answer = rewarded[0]
            warnings.warn(
                f"to answer '{self.classes[answer]}' for '{self.classes[true]}' costs less than the right answer; "
                "rows are true classes, columns are answers",
                CalibrantWarning,
                stacklevel=3,
            )

    def for_classes(self, classes: Sequence[str]) -> Costs:
        """Put the costs in the order of another class list.

        Args:
            classes: the same names in any order.

        Returns:
            The costs for that list.

        Raises:
            InputError: if the names are others.
        """
        if set(classes) != set(self.classes) or len(classes) != len(self.classes):
            odd = sorted(set(classes) ^ set(self.classes))
            where = "the costs" if odd[0] in self.classes else "the class list"
            raise InputError(f"class '{odd[0]}' is only in {where}; costs and class list must name the same classes")
        order = [list(self.classes).index(name) for name in classes]
        asking = None if self.of_asking is None else self.of_asking[order]
        return Costs(list(classes), self.of_answers[np.ix_(order, order)], asking)

    def expected(self, probabilities: Any) -> Float64:
        """Give what every decision is expected to cost.

        Args:
            probabilities: calibrated, [N, C].

        Returns:
            float64 [N, C], or [N, C + 1] with asking in the last column.

        Raises:
            InputError: if the rows are no probabilities of these classes.
        """
        p = as_probabilities(probabilities)
        if p.shape[1] != len(self.classes):
            raise InputError(f"there are costs of {len(self.classes)} classes but probabilities of {p.shape[1]}")
        return np.asarray(p.astype(np.float64, copy=False) @ self.of_decisions)

    def decide(self, probabilities: Any) -> Int64:
        """Choose the decision that is expected to cost least; at a tie the first answer, before a human.

        Args:
            probabilities: calibrated, [N, C].

        Returns:
            int64 [N], index of the class to answer, or -1 to ask a human.

        Raises:
            InputError: if the rows are no probabilities of these classes.

        Source: the Bayes decision with a reject option: Chow, On optimum recognition error and reject tradeoff, 1970.
        """
        cheapest = self.expected(probabilities).argmin(axis=1)
        return np.where(cheapest == len(self.classes), ASK, cheapest).astype(np.int64)

    def paid(self, decisions: Any, labels: Any) -> Float64:
        """Give what decisions turned out to cost.

        Args:
            decisions: int [N], as `decide` gives them.
            labels: true classes, int [N].

        Returns:
            float64 [N].

        Raises:
            InputError: if a label is no class, or a human was asked whose cost is not known.
        """
        chosen = np.asarray(decisions, dtype=np.int64)
        truth = as_labels(labels, len(chosen), len(self.classes))
        if self.of_asking is None and (chosen == ASK).any():
            raise InputError("the costs do not say what asking a human costs")
        found: Float64 = self.of_decisions[truth, np.where(chosen == ASK, len(self.classes), chosen)]
        return found

    @property
    def of_decisions(self) -> Float64:
        """The costs with asking as one more column, float64 [C, C] or [C, C + 1]."""
        parts = [self.of_answers] if self.of_asking is None else [self.of_answers, self.of_asking[:, None]]
        return np.hstack(parts)


@dataclass(frozen=True)
class CostSummary:
    """What decisions cost per image.

    Args:
        cost: of these decisions, with a bootstrap interval.
        likeliest: of always giving the likeliest class.
        saved: how much less than that, paired by image.
        asked: share of images for a human.
        n: how many images there are.
    """

    cost: Estimate
    likeliest: Estimate
    saved: Estimate
    asked: float
    n: int

    def sentence(self, images: str = "validation images") -> str:
        """Say it in plain words.

        Args:
            images: what was measured on.

        Returns:
            One sentence.

        Example:
            >>> costs = Costs(["cat", "dog"], [[0.0, 1.0], [9.0, 0.0]], [0.5, 0.5])
            >>> print(cost_summary(costs, [[0.97, 0.03], [0.8, 0.2]] * 20, [0, 1] * 20).sentence())
            On 40 validation images these decisions cost 0.25 each (0.175–0.325), always giving the likeliest answer
            4.5 (3.15–5.85); 50 % of images go to a human.
        """
        human = f"{100 * self.asked:.0f} % of images go to a human"
        return (
            f"On {self.n} {images} these decisions cost {_with_interval(self.cost)}, always giving the "
            f"likeliest answer {_with_interval(self.likeliest, '')}; {human}."
        )

    def record(self) -> dict[str, Any]:
        """Give the numbers as JSON can hold them; the ends of an unknown interval are None."""
        values = {name: getattr(self, name) for name in ("cost", "likeliest", "saved")}
        ends = {name: (one.low, one.high) if one.known else (None, None) for name, one in values.items()}
        measured = {
            name: {"value": one.value, "low": ends[name][0], "high": ends[name][1]} for name, one in values.items()
        }
        return {**measured, "asked": self.asked, "n": self.n}


def _with_interval(estimate: Estimate, each: str = " each") -> str:
    ends = f"{estimate.low:.3g}–{estimate.high:.3g}" if estimate.known else "no interval"
    return f"{estimate.value:.3g}{each} ({ends})"


def cost_summary(costs: Costs, probabilities: Any, labels: Any, *, units: Any = None) -> CostSummary:
    """Measure what deciding by expected cost costs, on labelled images.

    Args:
        costs: of C classes.
        probabilities: calibrated, [N, C].
        labels: true classes, int [N].
        units: one value [N] per image, equal for images that depend on each other; None if all are independent.

    Returns:
        Costs per image with their intervals.

    Raises:
        InputError: if the rows are no probabilities of these classes or a label is no class.

    Example:
        >>> costs = Costs(["cat", "dog"], [[0.0, 1.0], [9.0, 0.0]], [0.5, 0.5])
        >>> found = cost_summary(costs, [[0.97, 0.03], [0.8, 0.2]] * 20, [0, 1] * 20)
        >>> found.cost.value, found.likeliest.value, found.asked
        (0.25, 4.5, 0.5)
    """
    table = as_probabilities(probabilities)
    decisions = costs.decide(table)
    paid, otherwise = costs.paid(decisions, labels), costs.paid(table.argmax(axis=1), labels)
    return CostSummary(
        cost=average(paid, units=units),
        likeliest=average(otherwise, units=units),
        saved=paired_difference(paid, otherwise, units=units),
        asked=float(np.mean(decisions == ASK)),
        n=len(paid),
    )
