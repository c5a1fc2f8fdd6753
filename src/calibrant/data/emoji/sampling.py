"""Which drawing stands in which scene: labels, drawings and backgrounds as functions of the scene's index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibrant.data.emoji.backgrounds import FAMILIES
from calibrant.data.emoji.drawings import Concept, Drawings, concepts, split_of_styles
from calibrant.data.emoji.draws import Draws, Int64s
from calibrant.data.emoji.suites import Suite

PREFERENCE = 70
"""Chance in percent that a class stands on its own background family."""
IMBALANCE = 50
"""How much more frequent the first class of a long tail is than the last."""
UNKNOWN_KINDS = ("object", "empty", "noise")


@dataclass(frozen=True)
class Casting:
    """What each of N scenes shows.

    Args:
        labels: index into the class list, int64 [N]; -1 for none of the classes.
        drawing: position in `Drawings.pixels`, int64 [N]; -1 for no drawing.
        distractor: position of the second drawing, int64 [N].
        family: background family, int64 [N].
        names: "style/concept" of each drawing, str [N]; empty where there is none.
    """

    labels: Int64s
    drawing: Int64s
    distractor: Int64s
    family: Int64s
    names: npt.NDArray[np.str_]


def drawings_of(suite: Suite, split: str, concept: Concept, drawings: Drawings) -> list[str]:
    """List the styles in which a split of a suite may show a concept.

    Args:
        suite: the evaluation set.
        split: one of its splits.
        concept: a class, or a concept that is held out.
        drawings: the packed drawings.

    Returns:
        Styles in the order of `suite.styles`; none if no style of the suite has the concept.

    Raises:
        InputError: if drawings are divided among splits and fewer than three styles have the concept.
    """
    styles = drawings.styles_of(concept.name, suite.styles)
    if suite.drawings is None or concept.role == "held-out":
        return styles
    return split_of_styles(concept.name, styles)[suite.drawings[split]]


def label_space(suite: Suite, split: str, drawings: Drawings) -> list[Concept]:
    """List the classes that the styles of a suite have; logits are restricted to them before the softmax.

    Args:
        suite: the evaluation set.
        split: one of its splits.
        drawings: the packed drawings.

    Returns:
        The classes in alphabetical order.
    """
    return [concept for concept in suite.classes() if drawings_of(suite, split, concept, drawings)]


def cast(suite: Suite, split: str, drawings: Drawings, draws: Draws, indices: Int64s) -> Casting:
    """Choose label, drawing, second drawing and background of the scenes.

    Args:
        suite: the evaluation set.
        split: one of its splits.
        drawings: the packed drawings.
        draws: the random numbers of the N scenes.
        indices: the scene numbers, int64 [N].

    Returns:
        What the scenes show.
    """
    space = label_space(suite, split, drawings)
    from_elsewhere = suite.filling in ("held-out", "unknown")
    shown = [concept for concept in concepts() if concept.role == "held-out"] if from_elsewhere else space
    styles = [drawings_of(suite, split, concept, drawings) for concept in shown]
    subject = _subjects(suite, len(shown), draws, indices)
    choice = draws("drawing", np.array([len(some) for some in styles])[subject])
    pairs = [(styles[s][c], shown[s].name) for s, c in zip(subject, choice, strict=True)]
    there = indices % len(UNKNOWN_KINDS) == UNKNOWN_KINDS.index("object")
    there |= suite.filling != "unknown"
    others = [drawings.of(drawings_of(suite, split, other, drawings)[0], other.name) for other in space]
    return Casting(
        labels=_labels(suite, space, shown)[subject],
        drawing=np.where(there, np.array([drawings.of(*pair) for pair in pairs], np.int64), -1),
        distractor=np.array(others, np.int64)[draws("distractor drawing", len(others))],
        family=_family(suite, shown, subject, draws),
        names=np.where(there, np.array(["/".join(pair) for pair in pairs]), ""),
    )


def _labels(suite: Suite, space: Sequence[Concept], shown: Sequence[Concept]) -> Int64s:
    """Number the concepts that are shown by their place in the class list, -1 outside it."""
    if suite.filling == "unknown":
        return np.full(len(shown), -1, np.int64)
    number = {concept.name: i for i, concept in enumerate(space)}
    return np.array([number[concept.name] for concept in shown], np.int64)


def _subjects(suite: Suite, count: int, draws: Draws, indices: Int64s) -> Int64s:
    """Choose one of `count` concepts per scene.

    Even sets go round the classes, so that any leading part of a set is balanced too.
    """
    if suite.frequency == "even":
        return indices % count
    order = np.argsort(Draws("longtail rank", np.arange(count), 0).bits("rank"), kind="stable")
    weights = np.round(1e6 * IMBALANCE ** (-np.arange(count) / (count - 1))).astype(np.int64)
    rank = np.searchsorted(np.cumsum(weights), draws("subject", int(weights.sum())), side="right")
    return order.astype(np.int64)[rank]


def _family(suite: Suite, shown: Sequence[Concept], subject: Int64s, draws: Draws) -> Int64s:
    """Choose the background family of each scene: mostly the class's own, another one, or any."""
    anyone = draws("family", len(FAMILIES))
    if suite.background == "any":
        return anyone
    place = {concept.name: i for i, concept in enumerate(concepts())}
    shift = 0 if suite.background == "preferred" else len(FAMILIES) // 2
    own = np.array([(place[concept.name] + shift) % len(FAMILIES) for concept in shown], np.int64)
    return np.where(draws.chance("own background", PREFERENCE), own[subject], anyone)
