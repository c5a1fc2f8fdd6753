"""Images of none of the classes: how well a run tells them apart, and from where on it says so."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.calibrate import CHOICE, PART
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
NOUN_COUNT = 500
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


def noun_features(run: Run, count: int = NOUN_COUNT, *, offline: bool = False) -> Array:
    """Encode nouns that name none of the classes of a run, chosen evenly from the alphabet, with its tuned model.

    Args:
        run: the run.
        count: M, how many at most.
        offline: never open a socket.

    Returns:
        Text features, float32 [M, D], rows of unit norm.
    """
    from calibrant.data.vocabulary import load_vocabulary

    names = [word for name in run.classes for word in (name, *run.words.get(name, ()))]
    words = load_vocabulary().without(names).words
    chosen = np.unique(np.linspace(0, len(words) - 1, count).round().astype(np.int64))
    features = run.tuned_model(offline=offline).text_features([words[i] for i in chosen])
    return np.asarray(features.float().cpu().numpy())


def with_class_share(predictions: Predictions, nouns: Array) -> Predictions:
    """Compare images with nouns besides the classes.

    Args:
        predictions: N samples with image and text features and their logit scale.
        nouns: text features [M, D] of words that name none of the classes, by the same model.

    Returns:
        The same with the column ``class_share``, see `calibrant.metrics.class_share`.

    Raises:
        InputError: if the predictions have no such features or scale.
    """
    from calibrant.calibration.familiarity import NOUNS
    from calibrant.metrics import class_share

    images, classes, scale = predictions.image_features, predictions.text_features, predictions.logit_scale
    if images is None or classes is None or scale is None:
        raise InputError("nouns are compared with image features, text features and a logit scale; predict with a run")
    shares = class_share(scale * images @ classes.T, scale * images @ nouns.T)
    return replace(predictions, columns={**predictions.columns, NOUNS: shares})


def add_class_share(run: Run, stored: Predictions, *, offline: bool = False) -> Predictions:
    """Compare a run's stored predictions with nouns, and store that in a column, unless it is there already.

    Args:
        run: the run.
        stored: its predictions of some data set.
        offline: never open a socket.

    Returns:
        The predictions with the column ``class_share``.
    """
    from calibrant.calibration.familiarity import NOUNS

    if NOUNS in stored.columns:
        return stored
    if stored.image_features is None:  # an earlier version did not keep them
        stored = run.predict(str(stored.about["data"]), str(stored.about["split"]), offline=offline)
    added = with_class_share(stored, noun_features(run, offline=offline))
    added.save(run.predictions_file(str(stored.about["data"]), str(stored.about["split"])))
    return added


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
    from calibrant.metrics import unknown_summary

    if nouns and run is None:
        raise InputError("nouns are compared by the model of a run, and these are predictions of a file")
    if nouns and run is not None:
        stored = add_class_share(run, stored, offline=offline)
    unknown_ones = _with_class(stored, False)
    known = _known_beside(run, stored)
    if known is None:
        what = stored.about.get("data") or "these predictions"
        warnings.warn(f"{what}: there are no known images to compare with", CalibrantWarning, stacklevel=2)
        return []
    if nouns and run is not None and known.about.get("data") != stored.about.get("data"):
        known = add_class_share(run, known, offline=offline)
    known = _with_class(known, True)
    validation = None if run is None else _stored_validation(run, nouns, offline)
    rows = []
    for name, of_known, of_unknown, passes, meaning in _scored(run, known, unknown_ones, validation, calibrators):
        found: dict[str, Any] = dict(
            unknown_summary(
                of_known, of_unknown, known_units=_units(known), unknown_units=_units(unknown_ones), level=level
            )
        )
        if passes is not None:
            found[PASSING] = _share(passes, _units(unknown_ones), level, meaning)
        rows.append(
            {
                "data": str(stored.about.get("data") or ""),
                "split": str(stored.about.get("split") or ""),
                "known": str(known.about.get("data") or ""),
                "score": name,
                "n_known": len(known),
                "n": len(unknown_ones),
                "measures": found,
            }
        )
    return rows


def explain(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say in one line each what the measures of rows of `against_unknown` mean."""
    lines = {
        f"{name}{' of confidence' if one['definition'] == PASSES[CONFIDENCE] else ''}: {one['definition']}": None
        for row in rows
        for name, one in row["measures"].items()
    }
    return list(lines)


def _scored(
    run: Run | None,
    known: Predictions,
    unknown_ones: Predictions,
    validation: Predictions | None,
    calibrators: Mapping[str, Calibrator | None],
) -> list[tuple[str, Float64, Float64, Array | None, str]]:
    """Give each score of both kinds, which unknown images pass its threshold, and what that means."""
    from calibrant.calibration.familiarity import available, known_rule, known_score

    scored: list[tuple[str, Float64, Float64, Array | None, str]] = []
    for name, calibrator in calibrators.items():
        tables = [one.probabilities() if calibrator is None else calibrator(one) for one in (known, unknown_ones)]
        sure, unsure = (table.max(axis=1) for table in tables)
        threshold = None if run is None or validation is None else _answered_from(run, calibrator)
        passes = None if threshold is None else unsure >= threshold
        scored.append((f"{CONFIDENCE}, {name}", sure, unsure, passes, PASSES[CONFIDENCE]))
    if validation is not None:
        reference = validation.image_features
        known, unknown_ones, validation = (
            replace(one, reference_image_features=reference) for one in (known, unknown_ones, validation)
        )
    for score in available(known):
        if score in available(unknown_ones):
            of_known, of_unknown = known_score(known, score), known_score(unknown_ones, score)
            passes = None
            if validation is not None and score in available(validation):
                passes = known_rule(known_score(validation, score), score).known(of_unknown)
            scored.append((score, of_known, of_unknown, passes, PASSES[""]))
    return scored


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
