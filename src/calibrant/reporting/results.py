"""What a report is made of: tuned models and what they answered on each evaluation set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from calibrant.arrays import as_labels, as_probabilities
from calibrant.errors import InputError
from calibrant.measuring.behaviour import Behaviour
from calibrant.metrics import Estimate
from calibrant.metrics.scores import Scores, scores_of
from calibrant.reporting.rationality import ExplainedSet
from calibrant.reporting.relying import Reliance

Kind = Literal["id", "ood", "new"]
KIND_WORDS: dict[Kind, str] = {
    "id": "new images like the training ones",
    "ood": "shifted images",
    "new": "classes that were not tuned",
}
UNCALIBRATED = "none"
ImageSource = Callable[[Sequence[str]], Sequence[npt.NDArray[np.uint8]]]


@dataclass(frozen=True, eq=False)
class Scored:
    """What is kept of a table of probabilities [N, C], which is too large to keep for every set and run.

    Args:
        answer: int64 [N], the class with the highest probability.
        scores: its confidence and correctness, likelihood and Brier score, of each image.
    """

    answer: npt.NDArray[np.int64]
    scores: Scores


@dataclass(frozen=True)
class SetResult:
    """The answers of one model on one evaluation set; the tables of probabilities are read once and not kept.

    Args:
        name: the name of the set, such as ``"emoji/sketch"``.
        kind: ``"id"``: images like the training ones, ``"ood"``: shifted ones, ``"new"``: new classes.
        labels: int [N], index into `classes`.
        classes: the C class names.
        probabilities: calibrator name to float [N, C]; ``"none"`` (the model as it is) must be there.
        description: one plain sentence about the images.
        zero_shot: float [N, C], probabilities of the model before tuning, or None.
        ids: N unique names of the images; numbered when left out.
        units: [N], the unit of independence of each image (drawing, patient); None: each image is one.
        images: gives the pictures (uint8 [H, W, 3]) for a list of ids, or None where there are none.
        seen: how many of the images the model was tuned on, which flatters it.

    Attributes:
        calibrated: calibrator name to what is kept of its table, ``"none"`` first.
        before_tuning: what is kept of `zero_shot`, or None.

    Raises:
        InputError: if shapes disagree, a label is outside the class list or rows are not probabilities.

    Example:
        >>> sure = {"none": np.array([[0.8, 0.2]])}
        >>> one = SetResult("mine/test", "id", np.array([0]), ["cat", "dog"], sure)
        >>> one.ids
        ('0',)
    """

    name: str
    kind: Kind
    labels: npt.NDArray[np.integer]
    classes: Sequence[str]
    probabilities: InitVar[Mapping[str, npt.NDArray[np.floating]]]
    description: str = ""
    zero_shot: InitVar[npt.NDArray[np.floating] | None] = None
    ids: Sequence[str] = ()
    units: npt.NDArray[np.generic] | None = None
    images: ImageSource | None = None
    seen: int = 0
    calibrated: Mapping[str, Scored] = field(init=False)
    before_tuning: Scored | None = field(init=False)

    def __post_init__(
        self,
        probabilities: Mapping[str, npt.NDArray[np.floating]],
        zero_shot: npt.NDArray[np.floating] | None,
    ) -> None:
        if self.kind not in KIND_WORDS:
            raise InputError(f"{self.name}: kind must be one of {', '.join(KIND_WORDS)}, not '{self.kind}'")
        if UNCALIBRATED not in probabilities:
            raise InputError(f"{self.name}: probabilities need the entry 'none', the model as it is")
        if len(self.ids) == 0:
            object.__setattr__(self, "ids", tuple(str(index) for index in range(len(self.labels))))
        self._check_lengths()
        order = sorted(probabilities, key=lambda calibrator: calibrator != UNCALIBRATED)
        kept = {calibrator: self._scored(calibrator, probabilities[calibrator]) for calibrator in order}
        object.__setattr__(self, "calibrated", kept)
        object.__setattr__(self, "before_tuning", None if zero_shot is None else self._scored("zero-shot", zero_shot))

    def _scored(self, calibrator: str, table: npt.NDArray[np.floating]) -> Scored:
        where, shape = f"{self.name}, {calibrator}: probabilities", (len(self.labels), len(self.classes))
        if np.shape(table) != shape:
            raise InputError(f"{where} have shape {np.shape(table)}, expected {shape}")
        checked = as_probabilities(table, where)
        return Scored(checked.argmax(axis=1), scores_of(checked, as_labels(self.labels, *shape)))

    def _check_lengths(self) -> None:
        n = len(self.labels)
        if n == 0:
            raise InputError(f"{self.name}: there is no labelled image to report on")
        if np.min(self.labels) < 0 or np.max(self.labels) >= len(self.classes):
            raise InputError(
                f"{self.name}: a label lies outside the {len(self.classes)} classes; leave such images out"
            )
        for what, values in (("ids", self.ids), ("units", self.units)):
            if values is not None and len(values) != n:
                raise InputError(f"{self.name}: {len(values)} {what} for {n} labels")
        if len(set(self.ids)) != n:
            raise InputError(f"{self.name}: ids must be unique")


@dataclass(frozen=True)
class NearDuplicate:
    """Two images that are almost the same.

    Args:
        first: id of one.
        second: id of the other.
        first_split: ``"train"``, ``"validation"`` or ``"test"``.
        second_split: that of the other.
        images: gives the pictures (uint8 [H, W, 3]) for a list of ids, or None where there are none.
    """

    first: str
    second: str
    first_split: str
    second_split: str
    images: ImageSource | None = None


@dataclass(frozen=True)
class UnknownRow:
    """How one score tells images of none of the classes from those of the classes.

    Args:
        data: the set of the unknown images.
        known: that of the known ones.
        score: its name.
        n: how many unknown images.
        n_known: how many known ones.
        measures: ``"auroc"``, ``"fpr95"`` and, where there is a threshold, ``"passing"``, with 95 % intervals.
    """

    data: str
    known: str
    score: str
    n: int
    n_known: int
    measures: Mapping[str, Estimate]


@dataclass(frozen=True)
class RunResults:
    """One tuned model and everything that was measured on it.

    Args:
        title: what a reader should call it, such as ``"CoOp, 16 shots"``.
        method: the recipe, such as ``"coop"``; ``"zero-shot"`` for the model before tuning.
        model: the dual encoder that was tuned.
        data: the data it was tuned on.
        sets: one `SetResult` per evaluation set, in reading order.
        commands: the command lines that made it.
        warnings: what was warned about on the way.
        licences: one line each for model and data.
        versions: package name to version.
        seeds: what was drawn (``"data"``, ``"training"``) to its seed.
        facts: further lines for "how it was made", name to value.
        near_duplicates: pairs of images that are almost the same, in the data it was tuned on.
        course: what was measured while it was tuned, see `calibrant.reporting.course.course_of`.
        reliance: what its validation images say about relying on its answers, or None.
        behaviour: how the calibrators for new classes see its sets, as far as can be told.
        unknown: how scores tell images of none of the classes from its sets, a row for each set and score.
        explained: evaluation sets whose answers were explained.
        unsettled: calibrators that had no optimum on the images they were fitted on, and are not to be gone by.

    Raises:
        InputError: if there is no set, or two sets have one name.
    """

    title: str
    method: str
    model: str
    data: str
    sets: Sequence[SetResult]
    commands: Sequence[str] = ()
    warnings: Sequence[str] = ()
    licences: Sequence[str] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    seeds: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    near_duplicates: tuple[NearDuplicate, ...] = ()
    course: Sequence[Mapping[str, float]] = ()
    reliance: Reliance | None = None
    behaviour: Sequence[Behaviour] = ()
    unknown: Sequence[UnknownRow] = ()
    explained: Sequence[ExplainedSet] = ()
    unsettled: Sequence[str] = ()

    def __post_init__(self) -> None:
        names = [one.name for one in self.sets]
        if not names:
            raise InputError(f"{self.title}: nothing was measured; run predict and evaluate first")
        if len(set(names)) != len(names):
            raise InputError(f"{self.title}: two evaluation sets have the same name")
