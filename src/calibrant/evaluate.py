"""Measure stored predictions: every number with its interval, its definition and its n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.deciding.prevalence import with_frequencies, with_prior
from calibrant.deciding.unknown_images import against_unknown, holds_unknown, only_unknown
from calibrant.errors import InputError
from calibrant.measuring import about, measure
from calibrant.measuring.expected_cost import given_costs, refuse_unmeasured, thresholds, with_costs
from calibrant.measuring.two_models import differences, same_samples
from calibrant.runs.source import Source
from calibrant.storage import finite, write_json

if TYPE_CHECKING:
    from calibrant.calibration import Costs
    from calibrant.deciding.prevalence import AssumedPrior
    from calibrant.runs import Run


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
        ``data``, ``split``, ``calibrator``, ``n``, ``classes``, ``unit``, ``without_class``, ``all_images``
        (whether all were taken, since nothing says which are for testing), ``seen`` and ``measures``; where asked for,
        ``as_published``, ``minus`` and ``differences``, ``costs`` (see
        `calibrant.measuring.expected_cost.measured_costs`), ``prior`` (the class frequencies), and ``by`` and
        ``groups``, worst first. With costs also ``thresholds``, and with images of none of the classes ``unknown``, see
        `calibrant.deciding.unknown_images.against_unknown`. A value that is infinite or undefined has a ``note``
        beside it.

    Raises:
        InputError: if the predictions have no labels, no such column or measure, the images were tuned on, or those to
            compare with are about other samples or classes.
    """
    ours, theirs = Source.of(source), None if compare is None else Source.of(compare)
    priced = None if costs is None else given_costs(costs)
    options: dict[str, Any] = {"bins": bins, "measures": measures, "level": level}
    results, unknown = [], []
    for stored in ours.predictions(data, split, data_options, offline):
        known = ours.count_seen(stored, allow_seen)
        calibrators = ours.calibrators(calibrator, stored)
        if holds_unknown(stored):
            unknown += against_unknown(ours.run, stored, calibrators, level=level, nouns=nouns, offline=offline)
            if ours.run is not None and only_unknown(stored):
                continue
        if prior is not None:
            calibrators = with_prior(ours.run, calibrators, stored, prior, offline=offline)
        measured = measure(stored, calibrators, by=by, as_published=as_published, **options)
        found = with_costs([{**one, "seen": known} for one in measured], stored, calibrators, priced)
        found = with_frequencies(ours.run, found, calibrators)
        if ours.run is not None and measures is None and level is not None and prior is None:
            write_json(ours.run.metrics_file(about(stored, "data"), about(stored, "split")), finite(found))
        other = None if theirs is None else theirs.same_set(stored, data, data_options, offline)
        if theirs is not None and other is not None:
            other = same_samples(stored, other, theirs.name)
            theirs.count_seen(other, allow_seen)
            others = theirs.calibrators(calibrator, other)
            if prior is not None:
                others = with_prior(theirs.run, others, other, prior, offline=offline)
            for one in found:
                if (used := one["calibrator"]) in others:
                    one["minus"] = theirs.name
                    one["differences"] = differences(stored, calibrators[used], other, others[used], **options)
        results += found
    if theirs is not None and not any("differences" in one for one in results):
        raise InputError(f"{theirs.name} has no predictions of the same data and split to compare with")
    if priced is not None:
        refuse_unmeasured(results, priced)
    return {
        "source": ours.name,
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
