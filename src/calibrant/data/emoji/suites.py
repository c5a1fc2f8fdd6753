"""What the evaluation sets of `emoji` are: which concepts, which drawings, which scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from calibrant.data.emoji.drawings import RENDITION_STYLES, SKETCH_STYLES, TRAINING_STYLES, Concept, concepts
from calibrant.data.emoji.scenes import Look

SCENES = {"train": 13_408, "validation": 3_360, "test": 3_360}
TASK_SCENES = {"train": 2_560, "validation": 640, "test": 1_280}


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
        background: ``"preferred"`` (each class has one family with probability 0.7), ``"reversed"`` (another one)
            or ``"any"``.
        keep: which classes belong to the label space, by place in the alphabet and concept.
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
    look: Look = Look()
    background: str = "preferred"
    keep: Callable[[Concept], bool] = lambda concept: True
    template: str = "a photo of a {}."
    frequency: str = "even"
    filling: str = "objects"

    def classes(self) -> list[Concept]:
        """List the concepts of the label space in alphabetical order."""
        roles = ("class", "held-out") if self.filling == "held-out" else ("class",)
        return [concept for concept in concepts() if concept.role in roles and self.keep(concept)]


OWN_DRAWINGS = {"train": "train", "validation": "validation", "test": "test"}
TEST_DRAWINGS = {"test": "test"}
CLUTTER = Look(size=(18, 34), turn=170, distractor=85, hidden=60, noise=22, light=35, out_of_frame=15)

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


def _main() -> Suite:
    return Suite(
        "emoji",
        "every class, drawings of four styles; the test drawings are new",
        SCENES,
        drawings=OWN_DRAWINGS,
    )


def _shifts(main: Suite) -> list[Suite]:
    """The test-only sets: the same classes, shifted one way each."""
    test = {"test": SCENES["test"]}
    base = replace(main, scenes=test, drawings=TEST_DRAWINGS)
    plain = Look(
        size=(26, 60), turn=64, distractor=30, noise=16, light=30, background=(20, 255), out_of_frame=8
    )
    light = Look(background=(150, 255))
    return [
        replace(base, name="emoji/pose", what="drawings seen in training, new scenes: the easy set", drawings={"test": "train"}),
        replace(base, name="emoji/resampled", what="as ImageNet-V2: a new draw with other scene parameters", look=plain),
        replace(base, name="emoji/rendition", what="as ImageNet-R: colour drawings of other designers", styles=RENDITION_STYLES, drawings=None),
        replace(base, name="emoji/sketch", what="as ImageNet-Sketch: drawings in black, light grounds", styles=SKETCH_STYLES, drawings=None, look=light),
        replace(base, name="emoji/context", what="each class on the background of others", background="reversed"),
        replace(base, name="emoji/hard", what="as ImageNet-A: small, rotated, cluttered, partly hidden", look=CLUTTER, background="any"),
        replace(base, name="emoji/corrupted", what="15 corruptions at 5 severities", scenes={"test": 5_025}, filling="corrupted"),
        replace(base, name="emoji/union", what="base and new classes in one label space; column half"),
        replace(base, name="emoji/unknown", what="things outside the class list, empty scenes, noise", scenes={"test": 3_000}, filling="unknown"),
    ]  # fmt: skip


def half(suite: Suite, which: str) -> Suite:
    """Restrict a suite to the first (``"base"``) or second half (``"new"``) of its sorted classes."""
    names = [concept.name for concept in suite.classes()]
    middle = (len(names) + 1) // 2
    kept = frozenset(names[:middle] if which == "base" else names[middle:])
    what = f"the {'first' if which == 'base' else 'second'} half of the sorted classes of {suite.name}, a label space of its own"
    return replace(suite, name=f"{suite.name}/{which}", what=what, keep=lambda concept: concept.name in kept)


def _tasks(main: Suite) -> list[Suite]:
    out = []
    for group, template in TASK_TEMPLATES.items():
        task = replace(
            main, name=f"emoji/{group}", what=f"the task {group}", scenes=TASK_SCENES, template=template,
            keep=lambda concept, group=group: concept.group == group,
        )  # fmt: skip
        out += [task, half(task, "base"), half(task, "new")]
    return out


def suites() -> dict[str, Suite]:
    """List every evaluation set of `emoji` by name.

    Example:
        >>> [name for name in suites() if name.startswith("emoji/animals")]
        ['emoji/animals', 'emoji/animals/base', 'emoji/animals/new']
    """
    main = _main()
    longtail = replace(
        main,
        name="emoji/longtail",
        what="class frequencies fall 50-fold, in every split",
        frequency="longtail",
    )
    held_out = replace(
        main, name="emoji/held-out", what="concepts that `tiny` never saw in an image, among all class names",
        scenes={"test": 3_000}, drawings=None, filling="held-out",
    )  # fmt: skip
    every = [main, half(main, "base"), half(main, "new"), *_shifts(main), longtail, held_out, *_tasks(main)]
    return {suite.name: suite for suite in every}
