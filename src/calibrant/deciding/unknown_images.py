"""Images of none of the classes: how well a run tells them apart, and from where on it says so."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from calibrant.calibrate import CHOICE, PART
from calibrant.deciding.nouns import add_class_share, noun_features, with_class_share
from calibrant.errors import CalibrantWarning, InputError
from calibrant.storage import write_json

if TYPE_CHECKING:
    from calibrant.arrays import Array, Float64
    from calibrant.calibration import Calibrator
    from calibrant.calibration.familiarity import KnownRule
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

CONFIDENCE = "confidence"
RISK = 0.05  # of the abstain threshold that unknown images are held against
PASSING = "passing"
PASSES = {
    CONFIDENCE: f"share of the unknown images that are answered when at most {100 * RISK:g} % of answers may be wrong",
    "": "share of the unknown images that pass the threshold which keeps 95 % of the validation images",
}


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Tells the images of a run's classes from others.

    Args:
        rule: from which score on an image counts as known.
        reference: image features [R, D] to look for neighbours in; None where the score looks for none.
        nouns: text features [M, D] to be compared with those of the classes; None where the score compares none.
    """

    rule: KnownRule
    reference: Array | None
    nouns: Array | None

    def __call__(self, predictions: Predictions) -> Array:
        """Say which images count as known, bool [N]."""
        from calibrant.calibration.familiarity import known_score

        seen = replace(predictions, reference_image_features=self.reference)
        if self.nouns is not None:
            seen = with_class_share(seen, self.nouns)
        return self.rule.known(known_score(seen, self.rule.score))


def known_images(run: Run, score: str, keep: float, *, offline: bool = False) -> KnownImages:
    """Fit on a run's validation images from which score on an image is of one of its classes, and store it.

    It is fitted on the part of them that is meant for choosing (the column ``part``), where the data set makes that
    difference.

    Args:
        run: the run.
        score: one of `calibrant.calibration.familiarity.SCORES`.
        keep: the share of known images that is to count so.
        offline: never open a socket, should validation images have to be predicted.

    Returns:
        What tells them apart.

    Raises:
        InputError: if there is no such score, the share is none, or there are too few validation images.
    """
    from calibrant.calibration.familiarity import SCORES, known_rule, known_score
    from calibrant.deciding.abstain import validation_of
    from calibrant.errors import unknown

    if score not in SCORES:
        raise unknown("score of unknown images", score, SCORES)
    validation = _choice(validation_of(run, offline=offline))
    reference = validation.image_features if score == "nearness" else None
    nouns = noun_features(run, offline=offline) if score == "nouns" else None
    if nouns is not None:
        validation = with_class_share(validation, nouns)
    seen = replace(validation, reference_image_features=reference)
    rule = known_rule(known_score(seen, score), score, keep)
    write_json(
        run.threshold_file(f"none-of-these.{score}", keep),
        {"says": rule.sentence(), "data": run.record["data"]["name"], "rule": rule.record()},
    )
    return KnownImages(rule, reference, nouns)


def holds_unknown(stored: Predictions) -> bool:
    """Whether some image belongs to none of the classes."""
    return stored.labels is not None and bool((stored.labels < 0).any())


def only_unknown(stored: Predictions) -> bool:
    """Whether every image belongs to none of the classes."""
    return stored.labels is not None and bool((stored.labels < 0).all())


def against_unknown(
    run: Run | None,
    stored: Predictions,
    calibrators: Mapping[str, Calibrator | None],
    *,
    level: float | None = 0.95,
    nouns: bool = False,
    offline: bool = False,
) -> list[dict[str, Any]]:
    """Measure how well scores tell known images from the unknown ones (label -1) of a set of predictions.

    Known are the other images of the set, or, where it has none, the test images of what the run was tuned on.

    Args:
        run: the run that made them, or None.
        stored: predictions with images of none of the classes.
        calibrators: name to calibrator, whose confidence is one of the scores; None stands for the model as it is.
        level: confidence of the intervals; None for none.
        nouns: compare all images with nouns, too, which needs the model.
        offline: never open a socket.

    Returns:
        For each score the keys ``data``, ``split``, ``known`` (the set of the known images), ``score``,
        ``n_known``, ``n`` (unknown images) and ``measures``: ``auroc`` and ``fpr95``, see
        `calibrant.metrics.unknown_summary`, and, where the run has validation predictions to fit thresholds on,
        ``passing``. Empty, with a warning, where there are no known images.

    Raises:
        InputError: if nouns are asked for without a run.
    """
    if nouns and run is None:
        raise InputError("nouns are compared by the model of a run, and these are predictions of a file")
    if nouns and run is not None:
        stored = add_class_share(run, stored, offline=offline)
    known = _known_beside(run, stored)
    if known is None:
        what = stored.about.get("data") or "these predictions"
        warnings.warn(f"{what}: there are no known images to compare with", CalibrantWarning, stacklevel=2)
        return []
    if nouns and run is not None and known.about.get("data") != stored.about.get("data"):
        known = add_class_share(run, known, offline=offline)
    validation = None if run is None else _stored_validation(run, nouns, offline)
    known, unknown_ones = _with_class(known, True), _with_class(stored, False)
    return [
        _row(scored, known, unknown_ones, level)
        for scored in _scored(run, known, unknown_ones, validation, calibrators)
    ]


def explain(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in one line each what the measures of rows of `against_unknown` mean."""
    lines = {
        f"{name}{' of confidence' if one['definition'] == PASSES[CONFIDENCE] else ''}: {one['definition']}": None
        for row in rows
        for name, one in row["measures"].items()
    }
    return list(lines)


@dataclass(frozen=True, eq=False)
class Scored:
    """One score of known and of unknown images.

    Args:
        score: its name.
        known: float64 [N], of the known images.
        unknown: float64 [M], of the unknown ones.
        passes: bool [M], which unknown images pass the threshold of the run, or None where there is none.
        meaning: what passing means.
    """

    score: str
    known: Float64
    unknown: Float64
    passes: Array | None
    meaning: str


def _row(scored: Scored, known: Predictions, unknown_ones: Predictions, level: float | None) -> dict[str, Any]:
    """Measure one score, as `against_unknown` gives it."""
    from calibrant.metrics import unknown_summary

    of_known, of_unknown = _units(known), _units(unknown_ones)
    measures: dict[str, Any] = dict(
        unknown_summary(scored.known, scored.unknown, known_units=of_known, unknown_units=of_unknown, level=level)
    )
    if scored.passes is not None:
        measures[PASSING] = _share(scored.passes, of_unknown, level, scored.meaning)
    return {
        "data": str(unknown_ones.about.get("data") or ""),
        "split": str(unknown_ones.about.get("split") or ""),
        "known": str(known.about.get("data") or ""),
        "score": scored.score,
        "n_known": len(known),
        "n": len(unknown_ones),
        "measures": measures,
    }


def _scored(
    run: Run | None,
    known: Predictions,
    unknown_ones: Predictions,
    validation: Predictions | None,
    calibrators: Mapping[str, Calibrator | None],
) -> Iterator[Scored]:
    for name, calibrator in calibrators.items():
        sure, unsure = (
            (one.probabilities() if calibrator is None else calibrator(one)).max(axis=1)
            for one in (known, unknown_ones)
        )
        threshold = None if run is None or validation is None else _answered_from(run, calibrator)
        passes = None if threshold is None else unsure >= threshold
        yield Scored(f"{CONFIDENCE}, {name}", sure, unsure, passes, PASSES[CONFIDENCE])
    yield from _familiarity(known, unknown_ones, validation)


def _familiarity(known: Predictions, unknown_ones: Predictions, validation: Predictions | None) -> Iterator[Scored]:
    """Give the scores of `calibrant.calibration.familiarity` that both kinds of images have."""
    from calibrant.calibration.familiarity import available, known_rule, known_score

    if validation is not None:
        reference = validation.image_features
        known, unknown_ones, validation = (
            replace(one, reference_image_features=reference) for one in (known, unknown_ones, validation)
        )
    for score in available(known):
        if score not in available(unknown_ones):
            continue
        of_unknown, passes = known_score(unknown_ones, score), None
        if validation is not None and score in available(validation):
            passes = known_rule(known_score(validation, score), score).known(of_unknown)
        yield Scored(score, known_score(known, score), of_unknown, passes, PASSES[""])


def _answered_from(run: Run, calibrator: Calibrator | None) -> float | None:
    """Give the confidence from which on the run answers; None where no confidence keeps the promise."""
    from calibrant.calibration import Uncalibrated
    from calibrant.deciding.abstain import stored_rule

    try:
        return stored_rule(run, calibrator or Uncalibrated(), RISK, offline=True).threshold
    except InputError:  # such as a validation set without images in both parts
        return None


def _share(passes: Array, units: Array | None, level: float | None, meaning: str) -> dict[str, Any]:
    from calibrant.metrics import share

    found = share(passes, units, 0.95 if level is None else level)
    low, high = (None, None) if level is None else (found.low, found.high)
    return {"value": found.value, "low": low, "high": high, "definition": meaning}


def _known_beside(run: Run | None, stored: Predictions) -> Predictions | None:
    if not only_unknown(stored):
        return stored
    if run is None:
        return None
    name = run.record["data"]["name"]
    if not run.predictions_file(name, "test").is_file():
        return None
    known = run.stored(name, "test")
    return known if known.classes == stored.classes and not only_unknown(known) else None


def _stored_validation(run: Run, nouns: bool, offline: bool) -> Predictions | None:
    name = run.record["data"]["name"]
    if not run.predictions_file(name, "validation").is_file():
        return None
    stored = run.stored(name, "validation")
    if stored.labels is None or only_unknown(stored):
        return None
    if nouns:
        stored = add_class_share(run, stored, offline=offline)
    return _choice(_with_class(stored, True))


def _with_class(stored: Predictions, there: bool) -> Predictions:
    """Choose the images that belong to a class, or those that do not."""
    assert stored.labels is not None
    return stored.subset((stored.labels >= 0) == there)


def _choice(validation: Predictions) -> Predictions:
    """Leave the images on which abstain thresholds are tested alone."""
    if PART in validation.columns and (validation.columns[PART] == CHOICE).any():
        return validation.subset(validation.columns[PART] == CHOICE)
    return validation


def _units(one: Predictions) -> Array | None:
    unit = one.about.get("unit")
    return one.columns.get(str(unit)) if unit else None
