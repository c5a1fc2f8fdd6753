"""What the evaluation sets of `emoji` are: which concepts, which drawings, which scenes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache

from calibrant.data.emoji.drawings import RENDITION_STYLES, SKETCH_STYLES, TRAINING_STYLES, Concept, concepts
from calibrant.data.emoji.scenes import Look

SCENES = {"train": 13_408, "validation": 3_360, "test": 3_360}
TASK_SCENES = {"train": 2_560, "validation": 640, "test": 1_280}
TASK_TEMPLATES = {
    "animals": "a photo of a {}, a type of animal.",
    "plants": "a photo of a {}, a type of plant.",
    "food": "a photo of a {}, a type of food.",
    "buildings": "a photo of a {}, a place or building.",
    "vehicles": "a photo of a {}, a type of vehicle.",
    "weather": "a photo of a {} in nature.",
    "sport": "a photo of a {}, used for sport or play.",
    "instruments": "a photo of a {}, used for sound or music.",
    "clothes": "a photo of a {}, something to wear.",
    "electronics": "a photo of a {}, a type of device.",
    "office": "a photo of a {}, used in an office.",
    "tools": "a photo of a {}, a type of tool.",
}
"""Group of concepts to the class prompt of its task."""

_RESAMPLED = Look(size=(26, 60), turn=64, distractor=30, noise=16, light=30, background=(20, 255), out_of_frame=8)
_CLUTTER = Look(size=(18, 34), turn=170, distractor=85, hidden=60, noise=22, light=35, out_of_frame=15)
_LIGHT_GROUND = Look(background=(150, 255))


@dataclass(frozen=True)
class Suite:
    """One evaluation set.

    Args:
        name: what `load_data` calls it.
        what: one line for the listing.
        scenes: split to number of scenes; the splits that exist.
        styles: the styles of the drawings.
        drawings: split to the split of the drawings it shows; None for all drawings of `styles`.
        look: distribution of the scenes.
        background: ``"preferred"`` (each class has one family with probability 0.7), ``"reversed"`` (another
            one) or ``"any"``.
        keep: names of the concepts that may be in the label space; None for all.
        template: the class prompt.
        frequency: ``"even"`` or ``"longtail"``.
        filling: ``"objects"``, ``"corrupted"`` objects, ``"held-out"`` concepts only, or ``"unknown"``
            things outside the class list.
    """

    name: str
    what: str
    scenes: dict[str, int]
    styles: tuple[str, ...] = TRAINING_STYLES
    drawings: dict[str, str] | None = None
    look: Look = field(default_factory=Look)
    background: str = "preferred"
    keep: frozenset[str] | None = None
    template: str = "a photo of a {}."
    frequency: str = "even"
    filling: str = "objects"

    def classes(self) -> list[Concept]:
        """List the concepts of the label space.

        Returns:
            Concepts in alphabetical order, before those without a drawing in `styles` are left out.
        """
        roles = ("class", "held-out") if self.filling == "held-out" else ("class",)
        kept = [concept for concept in concepts() if concept.role in roles]
        return [concept for concept in kept if self.keep is None or concept.name in self.keep]


@cache
def suites() -> dict[str, Suite]:
    """List every evaluation set of `emoji`.

    Returns:
        Name to suite.

    Example:
        >>> [name for name in suites() if name.startswith("emoji/animals")]
        ['emoji/animals', 'emoji/animals/base', 'emoji/animals/new']
    """
    main = Suite(
        "emoji",
        "every class, drawings of four styles; the test drawings are new",
        SCENES,
        drawings={split: split for split in SCENES},
    )
    every = [main, half(main, "base"), half(main, "new"), *_shifts(main), *_other_priors(main), *_tasks(main)]
    return {suite.name: suite for suite in every}


def half(suite: Suite, which: str) -> Suite:
    """Restrict a suite to one half of its sorted classes.

    Args:
        suite: the whole.
        which: ``"base"`` for the first half (the larger one), ``"new"`` for the second.

    Returns:
        The half, with a label space of its own.
    """
    names = [concept.name for concept in suite.classes()]
    middle = (len(names) + 1) // 2
    kept, place = (names[:middle], "first") if which == "base" else (names[middle:], "second")
    what = f"the {place} half of the sorted classes of {suite.name}, a label space of its own"
    return replace(suite, name=f"{suite.name}/{which}", what=what, keep=frozenset(kept))


def _shifts(main: Suite) -> list[Suite]:
    """Make the test-only sets: the same classes, shifted one way each."""
    base = replace(main, scenes={"test": SCENES["test"]}, drawings={"test": "test"})
    every = replace(base, drawings=None)

    def shift(name: str, what: str, of: Suite = base) -> Suite:
        return replace(of, name=f"emoji/{name}", what=what)

    return [
        shift(
            "pose",
            "drawings seen in training, new scenes: the easy set",
            replace(base, drawings={"test": "train"}),
        ),
        shift(
            "resampled",
            "as ImageNet-V2: a new draw with other scene parameters",
            replace(base, look=_RESAMPLED),
        ),
        shift(
            "rendition",
            "as ImageNet-R: colour drawings of other designers",
            replace(every, styles=RENDITION_STYLES),
        ),
        shift(
            "sketch",
            "as ImageNet-Sketch: drawings in black, light grounds",
            replace(every, styles=SKETCH_STYLES, look=_LIGHT_GROUND),
        ),
        shift("context", "each class on the background of others", replace(base, background="reversed")),
        shift(
            "hard",
            "as ImageNet-A: small, rotated, cluttered, partly hidden",
            replace(base, look=_CLUTTER, background="any"),
        ),
        shift(
            "corrupted",
            "15 corruptions at 5 severities",
            replace(base, scenes={"test": 5_025}, filling="corrupted"),
        ),
        shift("union", "base and new classes in one label space; column half"),
        shift(
            "unknown",
            "things outside the class list, empty scenes, noise",
            replace(base, scenes={"test": 3_000}, look=Look(distractor=0), filling="unknown"),
        ),
    ]


def _other_priors(main: Suite) -> list[Suite]:
    """Make the sets whose classes are not equally frequent."""
    return [
        replace(
            main,
            name="emoji/longtail",
            what="class frequencies fall 50-fold, in every split",
            frequency="longtail",
        ),
        replace(
            main,
            name="emoji/held-out",
            what="concepts that `tiny` never saw in an image, among all class names",
            scenes={"test": 3_000},
            drawings=None,
            filling="held-out",
        ),
    ]


def _tasks(main: Suite) -> list[Suite]:
    """Make the tasks: one per group of concepts, each with its base and new half."""
    tasks = []
    for group, template in TASK_TEMPLATES.items():
        task = replace(
            main,
            name=f"emoji/{group}",
            what=f"the task {group}",
            scenes=TASK_SCENES,
            template=template,
            keep=frozenset(concept.name for concept in concepts() if concept.group == group),
        )
        tasks += [task, half(task, "base"), half(task, "new")]
    return tasks
