"""How frequent the classes were in tuning and validation, and how frequent they are in the images at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.errors import InputError

if TYPE_CHECKING:
    from calibrant.arrays import Float64
    from calibrant.calibration import Calibrator
    from calibrant.calibration.prior import Prior
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

FORMAT = 1
ESTIMATE = "estimate"
AssumedPrior = str | Mapping[str, float]
"""``"estimate"``, or what `calibrant.calibration.given_prior` takes."""


def prior_of(
    run: Run,
    assumed: AssumedPrior,
    classes: Sequence[str],
    calibrator: Calibrator,
    probabilities: Callable[[], Float64],
    *,
    offline: bool = False,
) -> Prior:
    """Give the class frequencies of validation images, where confidence is calibrated, and those that are assumed.

    Args:
        run: the run, whose validation images have natural frequencies unless its data set says otherwise.
        assumed: frequencies, or ``"estimate"``.
        classes: the class list that is chosen from, which must be the tuned one.
        calibrator: the fitted calibrator whose probabilities are corrected.
        probabilities: gives calibrated probabilities of the images at hand, [N, C], should they be needed.
        offline: never open a socket, should validation images have to be predicted.

    Returns:
        Both frequencies.

    Raises:
        InputError: if the classes are not the tuned ones, there are no validation images, or the frequencies are none.
    """
    from calibrant.calibration import class_frequencies, estimated_prior, given_prior
    from calibrant.deciding.abstain import validation_of

    if list(classes) != run.classes:
        raise InputError(f"how frequent classes were is known of the tuned classes of {run.path} only")
    validation = validation_of(run, offline=offline)
    known = class_frequencies(validation.labels, classes)
    if assumed == ESTIMATE:
        return estimated_prior(probabilities(), known, classes, source=calibrator(validation).mean(axis=0))
    return given_prior(known, assumed, classes)


def stored_prior(
    run: Run,
    assumed: AssumedPrior,
    classes: Sequence[str],
    calibrator: Calibrator,
    probabilities: Callable[[], Float64],
    *,
    made_of: Any,
    offline: bool = False,
) -> Prior:
    """Give class frequencies as `prior_of`, and store them in the run; the same estimate is not made twice.

    Args:
        run: the run.
        assumed: frequencies, or ``"estimate"``.
        classes: the class list that is chosen from.
        calibrator: the fitted calibrator whose probabilities are corrected.
        probabilities: gives calibrated probabilities of the images at hand, [N, C].
        made_of: what decides these probabilities besides run and calibrator, as JSON can hold it.
        offline: never open a socket.

    Returns:
        Both frequencies.

    Raises:
        InputError: as for `prior_of`.
    """
    from calibrant.calibrate import calibrator_digest
    from calibrant.calibration import Prior
    from calibrant.storage import digest, read_json, write_json

    estimated = assumed == ESTIMATE
    of = (
        [made_of, calibrator_digest(calibrator)]
        if estimated
        else dict(assumed)
        if isinstance(assumed, Mapping)
        else assumed
    )
    file = run.prior_file(digest(FORMAT, run.record["weights"], of)[:12])
    if estimated and file.is_file():
        stored = read_json(file)
        if list(classes) == list(stored["assumed"]):
            before, now = (np.array(list(stored[name].values())) for name in ("validation", "assumed"))
            return Prior(list(classes), before, now, stored["estimated_on"])
    prior = prior_of(run, assumed, classes, calibrator, probabilities, offline=offline)
    write_json(file, {"format": FORMAT, "says": prior_sentence(prior), **prior_record(run, prior)})
    return prior


def with_prior(
    run: Run | None,
    calibrators: Mapping[str, Calibrator | None],
    stored: Predictions,
    assumed: AssumedPrior,
    *,
    offline: bool = False,
) -> dict[str, Calibrator | None]:
    """Correct calibrators for the class frequencies of one set of predictions.

    Args:
        run: the run that made them.
        calibrators: name to calibrator; None stands for the model as it is.
        stored: the predictions; an estimate is made on them, without their labels, for each calibrator.
        assumed: frequencies, or ``"estimate"``.
        offline: never open a socket.

    Returns:
        The same names.

    Raises:
        InputError: as for `prior_of`, and for predictions without a run.
    """
    from calibrant.calibration import PriorCorrection, Uncalibrated
    from calibrant.measuring import measurable

    if run is None:
        raise InputError("a prior needs a run, whose validation images say how frequent the classes were")
    if stored.classes != run.classes:
        what = stored.about.get("data") or "these predictions"
        raise InputError(f"{what} has other classes than were tuned, so their frequencies in validation are not known")
    shown, _ = measurable(stored)
    corrected: dict[str, Calibrator | None] = {}
    for name, calibrator in calibrators.items():
        inside = calibrator or Uncalibrated()
        prior = prior_of(run, assumed, stored.classes, inside, lambda one=inside: one(shown), offline=offline)  # type: ignore[misc]
        corrected[name] = PriorCorrection(inside, prior)
    return corrected


def with_frequencies(
    run: Run | None, results: Sequence[Mapping[str, Any]], calibrators: Mapping[str, Calibrator | None]
) -> list[dict[str, Any]]:
    """Add the class frequencies that were assumed to results, under ``prior``, where any were.

    Args:
        run: the run.
        results: one per calibrator.
        calibrators: name to calibrator, corrected by `with_prior` or not.

    Returns:
        The results.
    """
    from calibrant.calibration import PriorCorrection

    found = []
    for one in results:
        used = calibrators[one["calibrator"]]
        if run is not None and isinstance(used, PriorCorrection):
            found.append({**one, "prior": {"says": prior_sentence(used.prior), **prior_record(run, used.prior)}})
        else:
            found.append(dict(one))
    return found


def prior_record(run: Run, prior: Prior) -> dict[str, Any]:
    """Give all class frequencies that are known as JSON can hold them.

    Args:
        run: the run.
        prior: of validation, and assumed.

    Returns:
        ``training`` (images that were tuned on; None where their labels are not known), ``validation`` and ``assumed``:
        class name to frequency; and ``estimated_on``: how many images the assumed ones were estimated on, 0 where they
        were given.
    """
    found = prior.record()
    tuned = [row.label for row in run.read_manifest() if row.used and row.split == "train"]
    training = {name: tuned.count(name) / len(tuned) for name in prior.classes} if any(tuned) else None
    return {
        "training": training,
        "validation": found["known"],
        "assumed": found["assumed"],
        "estimated_on": found["estimated_on"],
    }


def prior_sentence(prior: Prior) -> str:
    """Say which frequencies are assumed, in plain words: the classes whose frequency changes most.

    Example:
        >>> from calibrant.calibration.prior import Prior
        >>> prior_sentence(Prior(["ok", "defect"], [0.95, 0.05], [0.98, 0.02]))
        'Class frequencies given: defect 2 % (validation 5 %), ok 98 % (validation 95 %).'
    """
    order = np.argsort(-np.abs(np.log(np.maximum(prior.ratio, 1e-12))), kind="stable")
    shares = [(prior.classes[i], 100 * prior.assumed[i], 100 * prior.known[i]) for i in order[:3]]
    parts = [f"{name} {now:.3g} % (validation {before:.3g} %)" for name, now, before in shares]
    how = f"estimated on {prior.estimated_on} images" if prior.estimated_on else "given"
    return f"Class frequencies {how}: {', '.join(parts)}{f' and {len(order) - 3} more' if len(order) > 3 else ''}."
