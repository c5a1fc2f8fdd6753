"""Which drawing stands in which scene: labels, drawings and backgrounds as functions of the scene's index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibrant.data.emoji.backgrounds import FAMILIES
from calibrant.data.emoji.drawings import Concept, Drawings, concepts, split_of_styles
from calibrant.data.emoji.draws import Draws
from calibrant.data.emoji.suites import Suite

I64 = npt.NDArray[np.int64]
PREFERENCE = 70
IMBALANCE = 50
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

    labels: I64
    drawing: I64
    distractor: I64
    family: I64
    names: npt.NDArray[np.str_]


def drawings_of(suite: Suite, split: str, concept: Concept, drawings: Drawings) -> list[str]:
    """List the styles in which a split of a suite may show a concept."""
    styles = drawings.styles_of(concept.name, suite.styles)
    if suite.drawings is None or concept.role == "held-out":
        return styles
    return split_of_styles(concept.name, styles)[suite.drawings[split]]


def label_space(suite: Suite, split: str, drawings: Drawings) -> list[Concept]:
    """List the classes of a suite that its styles have a drawing of: logits are restricted to them before the softmax."""
    return [concept for concept in suite.classes() if drawings_of(suite, split, concept, drawings)]


def cast(suite: Suite, split: str, drawings: Drawings, draws: Draws, indices: I64) -> Casting:
    """Choose label, drawing, second drawing and background of the scenes.

    Args:
        suite: the evaluation set.
        split: the split.
        drawings: the packed drawings.
        draws: the random numbers of the N scenes.
        indices: the scene numbers, int64 [N].

    Returns:
        What the scenes show.
    """
    space = label_space(suite, split, drawings)
    shown = (
        [c for c in concepts() if c.role == "held-out"] if suite.filling in ("held-out", "unknown") else space
    )
    styles = [drawings_of(suite, split, concept, drawings) for concept in shown]
    subject = _subjects(suite, len(shown), draws, indices)
    choice = draws("drawing", np.array([len(s) for s in styles])[subject])
    names = np.array([f"{styles[s][c]}/{shown[s].name}" for s, c in zip(subject, choice, strict=True)])
    drawing = np.array([drawings.place[tuple(name.split("/", 1))] for name in names])  # type: ignore[index]
    if suite.filling == "unknown":
        labels = np.full(len(indices), -1)
        absent = indices % len(UNKNOWN_KINDS) != 0
        drawing, names = np.where(absent, -1, drawing), np.where(absent, "", names)
    elif suite.filling == "held-out":
        number = {concept.name: i for i, concept in enumerate(space)}
        labels = np.array([number[shown[s].name] for s in subject])
    else:
        labels = subject
    others = np.array([drawings.of(drawings_of(suite, split, c, drawings)[0], c.name) for c in space])
    family = _family(suite, [shown[s] for s in subject], draws)
    return Casting(labels, drawing, others[draws("distractor drawing", len(others))], family, names)


def _subjects(suite: Suite, count: int, draws: Draws, indices: I64) -> I64:
    """Even sets go round the classes, so that any leading part of a set is balanced too."""
    if suite.frequency == "even":
        return indices % count
    order = np.argsort(Draws("longtail rank", np.arange(count), 0).bits("rank"), kind="stable")
    weights = np.round(1e6 * IMBALANCE ** (-np.arange(count) / (count - 1))).astype(np.int64)
    return order[np.searchsorted(np.cumsum(weights), draws("subject", int(weights.sum())), side="right")]


def _family(suite: Suite, subjects: list[Concept], draws: Draws) -> I64:
    place = {concept.name: i for i, concept in enumerate(concepts())}
    own = np.array([place[concept.name] for concept in subjects]) % len(FAMILIES)
    anyone = draws("family", len(FAMILIES))
    if suite.background == "any":
        return anyone
    shift = 0 if suite.background == "preferred" else len(FAMILIES) // 2
    return np.where(draws.chance("own background", PREFERENCE), (own + shift) % len(FAMILIES), anyone)
