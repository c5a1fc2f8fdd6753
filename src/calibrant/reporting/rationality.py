"""Right for the right reason: what `calibrant explain` kept in a run, as the report shows it."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from calibrant.metrics import Estimate
from calibrant.reporting.formats import ends, number

CELLS = ("RR", "RW", "WR", "WW")
CELL_WORDS = {
    "RW": "Right, but the map points elsewhere: right for the wrong reason",
    "WR": "Wrong, though the map points at the object",
    "WW": "Wrong, and the map points elsewhere",
    "RR": "Right, and the map points at the object",
    "right": "Right answers of which it is surest",
    "wrong": "Wrong answers of which it is surest",
}
CELLS_IN_SHORT = {
    "RR": "right, on the object",
    "RW": "right, elsewhere",
    "WR": "wrong, on the object",
    "WW": "wrong, elsewhere",
}


class Line(NamedTuple):
    """A line of the table of measures; `signed` where the value is a difference, in points."""

    heading: str
    meaning: str
    signed: bool = False


MEASURES = {
    "PT": Line("PT", "of the right answers, the share whose evidence lies on the object"),
    "IR": Line("IR", "of the answers whose evidence lies on the object, the share that is right"),
    "accuracy": Line("Accuracy", "of the images with evidence"),
    "valid": Line(
        "Evidence on the object",
        "of the images with evidence; PT would be this if answer and evidence were unrelated",
    ),
    "PT_minus_valid": Line(
        "PT above that", "in points; 0 if right answers rest on the object no more often than wrong ones", True
    ),
    "IR_minus_accuracy": Line(
        "IR above accuracy", "in points; 0 if evidence on the object makes no answer more often right", True
    ),
    "RW": Line("Right for the wrong reason", "of the images with evidence"),
}


@dataclass(frozen=True)
class ExplainedPicture:
    """One image beside its heat map.

    Args:
        source: the picture, as an address that holds it.
        cell: of `CELL_WORDS`.
        label: what it is.
        answer: what the model said.
        explained: the class that the map is of.
        confidence: of the answer.
        relevance_mass: share of the relevance on the object; None without masks.
    """

    source: str
    cell: str
    label: str
    answer: str
    explained: str
    confidence: float
    relevance_mass: float | None

    @property
    def correct(self) -> bool:
        return self.answer == self.label


@dataclass(frozen=True)
class ExplainedModel:
    """What was measured on one model.

    Args:
        model: ``"tuned"`` or ``"zero-shot"``.
        calibrator: whose confidence is meant.
        measures: name to estimate; without masks only the accuracy.
        no_evidence: how many maps point nowhere.
        outside: how many objects the model does not see.
        confidence: cell to how many images it holds and how sure the model is of them.
        right_reason: how well confidence tells answers that are right and on the object from all others (AUROC); None
            if unknown.
        reason_of_right: how well it tells right answers on the object from other right ones; None if unknown.
        maps: how far maps lie on the objects, and what an even map and a look at the centre would give.
    """

    model: str
    calibrator: str
    measures: Mapping[str, Estimate]
    no_evidence: int
    outside: int
    confidence: Mapping[str, tuple[int, Estimate]]
    right_reason: Estimate | None
    reason_of_right: Estimate | None
    maps: Mapping[str, Estimate]


@dataclass(frozen=True)
class ExplainedSet:
    """One evaluation set that was explained in one way.

    Args:
        data: its name.
        explainer: who made the maps.
        target: what they explain, ``"label"`` or ``"prediction"``.
        n: how many images.
        threshold: share of the relevance on the object from which evidence is valid.
        masks: whether the objects are known.
        models: the tuned model and, perhaps, the zero-shot model.
        differences: tuned minus zero-shot.
        pictures: in the order in which they are shown.
        judged: what people said, as `calibrant explain --judgements` keeps it, or None.
        right_reason: what `calibrant explain --right-reason` measured, or None.
    """

    data: str
    explainer: str
    target: str
    n: int
    threshold: float
    masks: bool
    models: tuple[ExplainedModel, ...]
    differences: Mapping[str, Estimate]
    pictures: tuple[ExplainedPicture, ...]
    judged: Mapping[str, Any] | None = None
    right_reason: Mapping[str, float] | None = None

    @property
    def tuned(self) -> ExplainedModel:
        return self.models[0]

    @property
    def before_and_after(self) -> tuple[ExplainedModel, ...]:
        """The models in the order in which they came to be."""
        return tuple(reversed(self.models))


def explained_set(
    measured: Mapping[str, Any], judged: Mapping[str, Any] | None, pictures: Mapping[str, bytes]
) -> ExplainedSet:
    """Read what was kept of one explained set.

    Args:
        measured: what `calibrant.explain.explain` kept.
        judged: what people said of it, or None.
        pictures: file name to JPEG; those that are missing are left out.

    Returns:
        What the report shows of it.
    """
    shown = tuple(_picture(one, pictures[one["file"]]) for one in measured["pictures"] if one["file"] in pictures)
    return ExplainedSet(
        data=measured["data"],
        explainer=measured["settings"]["explainer"],
        target=measured["settings"]["target"],
        n=measured["n"],
        threshold=measured["threshold"],
        masks=measured["masks"],
        models=tuple(map(_model, measured["models"])),
        differences=_estimates(measured.get("differences", {})),
        pictures=shown,
        judged=judged,
        right_reason=measured.get("right_reason"),
    )


def in_words(one: ExplainedSet) -> Iterator[str]:
    """Say what the numbers of an explained set come to.

    Args:
        one: the set.

    Yields:
        Sentences.
    """
    found = one.tuned.measures
    if not one.masks:
        return
    if math.isnan(found["PT"].value):
        yield "No answer is right, so nothing can be said of what right answers rest on."
        return
    yield f"Of its right answers {_share(found['PT'])} rest on the object by this explainer."
    yield {
        1: "Right answers rest on it more often than wrong ones do.",
        0: "It is not shown that right answers rest on it more often than wrong ones do.",
        -1: "Right answers rest on it less often than wrong ones do.",
    }[found["PT_minus_valid"].sign]
    if (change := one.differences.get("PT")) and change.known:
        more = {1: "more", -1: "fewer"}.get(change.sign)
        yield (
            f"Tuning made {more} of them rest on the object."
            if more
            else "Whether tuning changed that cannot be told: zero lies within the interval."
        )


def within(sets: Sequence[ExplainedSet], budget: int) -> tuple[tuple[ExplainedSet, ...], int]:
    """Leave out pictures that would make the page too large, those of later sets and cells first.

    Args:
        sets: in the order in which they are shown.
        budget: characters.

    Returns:
        The sets with the pictures that fit, and how many were left out.
    """
    kept, left_out = [], 0
    for one in sets:
        shown = []
        for picture in one.pictures:
            budget -= len(picture.source)
            if budget < 0:
                break
            shown.append(picture)
        left_out += len(one.pictures) - len(shown)
        kept.append(replace(one, pictures=tuple(shown)))
    return tuple(kept), left_out


def weight(sets: Sequence[ExplainedSet]) -> int:
    """Characters that the pictures add to the page."""
    return sum(len(picture.source) for one in sets for picture in one.pictures)


def agreement_words(one: Mapping[str, Any]) -> str:
    """Say how far two judges agree.

    Example:
        >>> kappa = {"value": 0.5, "low": 0.1, "high": 0.9}
        >>> agreement_words({"between": ["Ann", "Bob"], "kappa": kappa, "images": 40})
        'Ann and Bob: kappa 0.500 (0.100–0.900), 40 images'
    """
    kappa = Estimate.of({**one["kappa"], "value": _number(one["kappa"]["value"])})
    said = "no kappa" if math.isnan(kappa.value) else f"kappa {number(kappa.value, False)}"
    known = f" ({ends(kappa, False)})" if kappa.known else ""
    return f"{one['between'][0]} and {one['between'][1]}: {said}{known}, {one['images']} images"


def judged_share(estimate: Mapping[str, Any]) -> str:
    """Write a share that people's judgements give, with its interval.

    Example:
        >>> judged_share({"value": 0.5, "low": 0.25, "high": 0.75}), judged_share({"value": None, "low": 0, "high": 1})
        ('50.0 % (25.0–75.0)', 'unknown')
    """
    return "unknown" if estimate["value"] is None else _share(Estimate.of(estimate))


def _share(estimate: Estimate) -> str:
    known = f" ({ends(estimate, True)})" if estimate.known else ""
    return number(estimate.value, True) + known


def _picture(one: Mapping[str, Any], content: bytes) -> ExplainedPicture:
    return ExplainedPicture(
        source="data:image/jpeg;base64," + base64.b64encode(content).decode("ascii"),
        **{key: one[key] for key in ("cell", "label", "answer", "explained", "confidence", "relevance_mass")},
    )


def _model(one: Mapping[str, Any]) -> ExplainedModel:
    measures = one.get("measures") or {"accuracy": {"value": one["accuracy"], "low": None, "high": None}}
    told = {name: auroc for name, auroc in _estimates(one.get("auroc") or {}).items() if not math.isnan(auroc.value)}
    groups = one.get("confidence") or {}
    return ExplainedModel(
        model=one["model"],
        calibrator=one["calibrator"],
        measures=_estimates(measures),
        no_evidence=int(measures.get("no_evidence", one.get("no_evidence", 0))),
        outside=int(measures.get("outside", 0)),
        confidence={
            cell: (groups[cell]["n"], *_estimates(groups[cell], ["mean_confidence"]).values())
            for cell in CELLS
            if cell in groups
        },
        right_reason=told.get("right_reason"),
        reason_of_right=told.get("reason_of_right"),
        maps=_estimates(one.get("maps", {})),
    )


def _estimates(measured: Mapping[str, Any], names: Sequence[str] | None = None) -> dict[str, Estimate]:
    """Read estimates; JSON has None for a value without a denominator."""
    return {
        name: Estimate.of({**one, "value": _number(one["value"])})
        for name, one in measured.items()
        if isinstance(one, Mapping) and (names is None or name in names)
    }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value
