"""Measure stored predictions: every number with its interval, its definition and its n."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.calibrate import usable
from calibrant.deciding.prevalence import with_frequencies, with_prior
from calibrant.deciding.unknown_images import against_unknown, holds_unknown, only_unknown
from calibrant.errors import CalibrantWarning, InputError
from calibrant.measuring import about, measure
from calibrant.measuring.expected_cost import given_costs, refuse_unmeasured, thresholds, with_costs
from calibrant.measuring.two_models import differences, same_samples
from calibrant.runs.seen import seen
from calibrant.storage import write_json

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator, Costs
    from calibrant.deciding.prevalence import AssumedPrior
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

NONE = "none"


def evaluate(
    source: str | Path | Run,
    *,
    data: str | None = None,
    data_options: Mapping[str, Any] | None = None,
    split: str = "test",
    by: str | None = None,
    calibrator: str | None = None,
    bins: int = 15,
    measures: Sequence[str] | None = None,
    level: float | None = 0.95,
    as_published: bool = False,
    compare: str | Path | Run | None = None,
    costs: str | Path | Costs | None = None,
    prior: AssumedPrior | None = None,
    nouns: bool = False,
    allow_seen: bool = False,
    offline: bool = False,
) -> dict[str, Any]:
    """Measure a run, or predictions that came from anywhere.

    Args:
        source: a run, its folder, or a file of predictions.
        data: for a run, the data set to measure on, which is predicted first; by default all that is stored.
        data_options: for `load_data`; what is left out is as in tuning, see `Run.open_data`.
        split: for a run, the split.
        by: a column of the predictions whose subgroups are measured one by one.
        calibrator: a calibrator file, one of the run's by name, or ``"none"``; by default none and all of the run's.
        bins: how many bins the calibration errors have.
        measures: which; by default all there are, see `calibrant.measuring.measure`. A run keeps the numbers only then.
        level: confidence of the intervals; None for none.
        as_published: whether the calibration errors of published code stand beside them.
        compare: another run, its folder, or a file of predictions on the same samples, which is subtracted.
        costs: what answers and asking a human cost, or a file of it; decisions by expected cost are measured, too.
        prior: for a run, frequencies of some classes among the images, or ``"estimate"``, for which confidence is
            corrected, see `calibrant.deciding.prevalence.prior_of`.
        nouns: for a run with images of none of the classes, compare all images with nouns, too, which needs the model.
        allow_seen: measure even on images that the run was tuned on.
        offline: never open a socket.

    Returns:
        ``source``, ``bins``, ``level``, ``definitions`` and ``results``: for every set and calibrator the keys
        ``data``, ``split``, ``calibrator``, ``n``, ``classes``, ``unit``, ``without_class``, ``seen`` and ``measures``;
        where asked for, ``as_published``, ``minus`` and ``differences``, ``costs`` (see
        `calibrant.measuring.expected_cost.measured_costs`), ``prior`` (the class frequencies), and ``by`` and
        ``groups``, worst first. With costs also ``thresholds``, and with images of none of the classes ``unknown``, see
        `calibrant.deciding.unknown_images.against_unknown`. A value that is infinite or undefined has a ``note``
        beside it.

    Raises:
        InputError: if the predictions have no labels, no such column or measure, the images were tuned on, or those to
            compare with are about other samples or classes.
    """
    run, other_run = _run(source), None if compare is None else _run(compare)
    other_name = "" if compare is None else _name(compare)
    priced = None if costs is None else given_costs(costs)
    options: dict[str, Any] = {"bins": bins, "measures": measures, "level": level}
    results, unknown = [], []
    for stored in _sources(run, source, data, data_options, split, offline):
        known = _seen(run, stored, allow_seen)
        calibrators = _calibrators(run, calibrator, stored)
        if holds_unknown(stored):
            unknown += against_unknown(run, stored, calibrators, level=level, nouns=nouns, offline=offline)
            if run is not None and only_unknown(stored):
                continue
        if prior is not None:
            calibrators = with_prior(run, calibrators, stored, prior, offline=offline)
        measured = measure(stored, calibrators, by=by, as_published=as_published, **options)
        found = with_costs([{**one, "seen": known} for one in measured], stored, calibrators, priced)
        found = with_frequencies(run, found, calibrators)
        if run is not None and measures is None and level is not None and prior is None:
            write_json(run.metrics_file(about(stored, "data"), about(stored, "split")), _finite(found))
        other = None if compare is None else _other(other_run, compare, stored, data, data_options, offline)
        if other is not None:
            other = same_samples(stored, other, other_name)
            _seen(other_run, other, allow_seen)
            theirs = _calibrators(other_run, calibrator, other)
            if prior is not None:
                theirs = with_prior(other_run, theirs, other, prior, offline=offline)
            for one in found:
                if (used := one["calibrator"]) in theirs:
                    one["minus"] = other_name
                    one["differences"] = differences(stored, calibrators[used], other, theirs[used], **options)
        results += found
    if compare is not None and not any("differences" in one for one in results):
        raise InputError(f"{other_name} has no predictions of the same data and split to compare with")
    if priced is not None:
        refuse_unmeasured(results, priced)
    return {
        "source": _name(source),
        "bins": bins,
        "level": level,
        "definitions": _definitions(results),
        "results": results,
        **({} if priced is None else {"thresholds": thresholds(priced)}),
        **({"unknown": unknown} if unknown else {}),
    }


def _definitions(results: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in results:
        for measured in (one["measures"], one.get("as_published", {})):
            found |= {name: value["definition"] for name, value in measured.items()}
    return found


def _finite(value: Any) -> Any:
    """Write an infinite loss as None, since JSON has no infinity."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _run(source: str | Path | Run) -> Run | None:
    from calibrant.runs import Run

    if isinstance(source, Run):
        return source
    return Run.load(source) if Path(source).is_dir() else None


def _sources(
    run: Run | None,
    source: Any,
    data: str | None,
    data_options: Mapping[str, Any] | None,
    split: str,
    offline: bool,
) -> Iterator[Predictions]:
    from calibrant.predictions import read_predictions

    if run is None:
        if data is not None:
            raise InputError(f"--data needs a run to predict with, and {source} is a file of predictions")
        yield read_predictions(source)
    elif data is not None:
        yield run.predict(data, split, data_options=data_options, offline=offline)
    else:
        stored = [one for one in run.predictions() if about(one, "split") == split and one.labels is not None]
        if not stored:
            raise InputError(f"{run.path} holds no predictions of a {split} split; name one with --data")
        yield from stored


def _other(
    run: Run | None,
    source: str | Path | Run,
    stored: Predictions,
    data: str | None,
    data_options: Mapping[str, Any] | None,
    offline: bool,
) -> Predictions | None:
    """Find the other predictions of the same set, or None if a run has none."""
    from calibrant.predictions import read_predictions

    if run is None:
        return read_predictions(str(source))
    name, split = about(stored, "data"), about(stored, "split")
    if data is not None:
        return run.predict(data, split, data_options=data_options, offline=offline)
    return run.stored(name, split) if name and run.predictions_file(name, split).is_file() else None


def _name(source: str | Path | Run) -> str:
    from calibrant.runs import Run

    return str(source.path if isinstance(source, Run) else source)


def _calibrators(run: Run | None, chosen: str | None, stored: Predictions) -> dict[str, Calibrator | None]:
    if chosen is None:
        return {NONE: None, **(usable(run.calibrators(), stored) if run is not None else {})}
    if chosen == NONE:
        return {NONE: None}
    from calibrant import calibration

    if Path(chosen).is_file():
        return {Path(chosen).stem: calibration.load(chosen)}
    if run is None:
        raise InputError(f"there is no calibrator file {chosen}")
    return {chosen: run.calibrator(chosen)}


def _seen(run: Run | None, stored: Predictions, allowed: bool) -> int:
    """Count the images that were tuned on; refuse them unless they are allowed."""
    found = None if run is None else seen(run, stored)
    if found is None or found.count == 0:
        return 0
    if not allowed:
        raise InputError(f"{found}, which would flatter the model; leave them out, or add --allow-seen")
    warnings.warn(f"{found}: these numbers flatter the model", CalibrantWarning, stacklevel=3)
    return found.count
