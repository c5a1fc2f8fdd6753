"""From which confidence on a run's answers can be promised, tested on images that its calibrator has not seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.arrays import Array, Float64, Int64
from calibrant.calibrate import CHOICE, PART, calibrator_digest, labelled, predictions_of
from calibrant.errors import InputError
from calibrant.storage import digest, read_json, write_json

if TYPE_CHECKING:
    from calibrant.calibration import AnswerRule, Calibrator, Prior
    from calibrant.deciding.unknown_images import KnownImages
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

FORMAT = 1
THRESHOLD = "threshold"


@dataclass(frozen=True, eq=False)
class Part:
    """Calibrated probabilities of some of the validation images.

    Args:
        probabilities: float64 [N, C].
        labels: int64 [N].
        units: [N], the unit of independence of each image, or None.
    """

    probabilities: Float64
    labels: Int64
    units: Array | None

    @property
    def confidence(self) -> Float64:
        """The probability of each answer, float64 [N]."""
        highest: Float64 = self.probabilities.max(axis=1)
        return highest

    @property
    def correct(self) -> Array:
        """Whether each answer is right, bool [N]."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.labels)


@dataclass(frozen=True)
class ValidationParts:
    """The two parts of the validation images.

    Args:
        choice: where thresholds are laid out; calibrators learn from these images.
        threshold: where thresholds are tested; calibrators do not learn from these.
    """

    choice: Part
    threshold: Part


def stored_rule(
    run: Run,
    calibrator: Calibrator,
    risk: float,
    *,
    prior: Prior | None = None,
    known: KnownImages | None = None,
    offline: bool = False,
) -> AnswerRule:
    """Give the rule of a run for a calibrator and a risk, and store it with its evidence if it is new.

    Args:
        run: the run.
        calibrator: the fitted calibrator that is used.
        risk: the share of answers that may be wrong.
        prior: the class frequencies that the answers are corrected for, or None for those of the validation images.
        known: tells images of none of the classes, which are not answered; None if all are.
        offline: never open a socket, should validation images have to be predicted.

    Returns:
        The rule, which may have no threshold.

    Raises:
        InputError: if the risk is no share, or the run has no labelled validation images in both parts.
    """
    from calibrant.calibration.selective import CERTAINTY, AnswerRule, check_promise

    check_promise(risk, CERTAINTY)
    assumed, told = None if prior is None else prior.record(), None if known is None else known.rule.record()
    made_by = digest(FORMAT, run.record["weights"], calibrator_digest(calibrator), risk, CERTAINTY, assumed, told)
    kinds = [calibrator.name, *(["prior"] if assumed else []), *(["known"] if told else [])]
    file = run.threshold_file(".".join(kinds), risk)
    if file.is_file():
        stored = read_json(file)
        if isinstance(stored, dict) and stored.get("made_by") == made_by:
            return AnswerRule(**stored["rule"])
    validation = validation_of(run, offline=offline)
    parts = validation_parts(validation if known is None else validation.subset(known(validation)), calibrator)
    rule = find_rule(parts if prior is None else at_prior(parts, prior), risk)
    write_json(
        file,
        {
            "format": FORMAT,
            "says": rule.sentence(),
            "calibrator": calibrator.name,
            "data": run.record["data"]["name"],
            "rule": rule.record(),
            "prior": assumed,
            "known": told,
            "made_by": made_by,
        },
    )
    return rule


def find_rule(parts: ValidationParts, risk: float) -> AnswerRule:
    """Lay thresholds out on one part of the validation images, and test them on the other.

    Args:
        parts: of the validation images.
        risk: the share of answers that may be wrong.

    Returns:
        The rule, which may have no threshold.
    """
    from calibrant.calibration import answer_rule, candidate_thresholds

    choice, tested = parts.choice, parts.threshold
    candidates = candidate_thresholds(
        choice.confidence, choice.correct, risk=risk, images=len(tested.labels), units=choice.units
    )
    return answer_rule(tested.confidence, tested.correct, risk=risk, candidates=candidates, units=tested.units)


def at_prior(parts: ValidationParts, prior: Prior) -> ValidationParts:
    """Turn validation images into a sample of images with other class frequencies, and correct their probabilities.

    Args:
        parts: of the validation images.
        prior: the frequencies.

    Returns:
        The parts with fewer images, see `Prior.sample`.

    Raises:
        InputError: if a part has no image left.
    """
    return ValidationParts(*(_at_prior(part, prior) for part in (parts.choice, parts.threshold)))


def _at_prior(part: Part, prior: Prior) -> Part:
    kept = prior.sample(part.labels)
    if not kept.any():
        raise InputError("no validation image is left when they are drawn in the assumed class frequencies")
    units = None if part.units is None else part.units[kept]
    return Part(prior.correct(part.probabilities[kept]), part.labels[kept], units)


def validation_of(run: Run, *, offline: bool = False) -> Predictions:
    """Read or predict the labelled validation images of a run.

    Args:
        run: the run.
        offline: never open a socket.

    Returns:
        Their predictions.

    Raises:
        InputError: if it has none.
    """
    name = run.record["data"]["name"]
    if "validation" not in run.record["counts"]:
        raise InputError(f"{name} has no validation images, so nothing can be promised about the answers of {run.path}")
    return labelled(predictions_of(run, "validation", offline=offline), f"{name} validation")


def validation_parts(validation: Predictions, calibrator: Calibrator) -> ValidationParts:
    """Calibrate the two parts of the validation images.

    Where the data set makes them (the column ``part``), calibrators are fitted on one part only. Where it does not, the
    images are divided in halves, and every image is calibrated by a copy that was fitted without it.

    Args:
        validation: labelled predictions.
        calibrator: the fitted calibrator.

    Returns:
        The parts.

    Raises:
        InputError: if one of the parts is empty.
    """
    from calibrant.calibration.cross_fitting import cross_fitted, fold_of

    unit = validation.about.get("unit")
    units = validation.columns.get(unit) if unit else None
    if PART in validation.columns:
        tested, table = validation.columns[PART] == THRESHOLD, calibrator(validation)
        if tested.all() or not tested.any():
            part = CHOICE if tested.all() else THRESHOLD
            raise InputError(f"the validation images have none in the part '{part}', so no threshold can be tested")
    else:
        tested = fold_of(units, len(validation), 2, seed=0) == 1
        table = cross_fitted(calibrator, validation, units=units)
    return ValidationParts(*(_part(validation, table, units, chosen) for chosen in (~tested, tested)))


def _part(validation: Predictions, table: Float64, units: Any, chosen: Array) -> Part:
    assert validation.labels is not None
    return Part(table[chosen], validation.labels[chosen], None if units is None else units[chosen])
