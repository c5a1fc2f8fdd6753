"""Measure stored predictions: every number with its interval, its definition and its n."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.calibrate import usable
from calibrant.errors import CalibrantWarning, InputError, unknown
from calibrant.seen import seen
from calibrant.storage import write_json

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.predictions import Predictions
    from calibrant.runs import Run

SHOWN = ("accuracy", "ece", "nll")  # what fits a terminal; JSON and files have all
NONE = "none"
INFINITE = "infinite, since at least one label has the probability 0; null in JSON"


def evaluate(
    source: str | Path | Run,
    *,
    data: str | None = None,
    data_options: Mapping[str, Any] | None = None,
    split: str = "test",
    by: str | None = None,
    calibrator: str | None = None,
    bins: int = 15,
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
        bins: bins of equal width of the calibration errors.
        allow_seen: measure even on images that the run was tuned on.
        offline: never open a socket.

    Returns:
        ``source``, ``bins``, ``definitions`` and ``results``: for every set and calibrator the keys ``data``,
        ``split``, ``calibrator``, ``n``, ``classes``, ``unit``, ``without_class``, ``seen``, ``measures`` and, with
        `by`, ``by`` and ``groups``, worst first. An infinite ``nll`` has a ``note`` beside its value.

    Raises:
        InputError: if the predictions have no labels or no such column, or the images were tuned on.
    """
    from calibrant.metrics.definitions import definitions
    from calibrant.runs import Run

    run = _run(source)
    results = []
    for stored in _sources(run, source, data, data_options, split, offline):
        known = _seen(run, stored, allow_seen)
        calibrators = _calibrators(run, calibrator, stored)
        found = [{**one, "seen": known} for one in measure(stored, calibrators, bins=bins, by=by)]
        if run is not None:
            write_json(run.metrics_file(_about(stored, "data"), _about(stored, "split")), _finite(found))
        results += found
    shown = str(source.path if isinstance(source, Run) else source)
    return {"source": shown, "bins": bins, "definitions": definitions(bins), "results": results}


def measure(
    stored: Predictions,
    calibrators: Mapping[str, Calibrator | None],
    *,
    bins: int = 15,
    by: str | None = None,
) -> list[dict[str, Any]]:
    """Measure one set of predictions with each of some calibrators.

    Samples of none of the classes (label -1) are left out and counted.

    Args:
        stored: the predictions, with labels.
        calibrators: name to calibrator; None stands for the model as it is.
        bins: bins of equal width of the calibration errors.
        by: a column whose subgroups are measured one by one, or None.

    Returns:
        The results of `evaluate`, without ``seen``.

    Raises:
        InputError: if there are no labels or there is no such column.
    """
    from calibrant.metrics import by_group, summary_with_intervals

    if stored.labels is None:
        raise InputError(
            f"{_about(stored, 'data') or 'the predictions'}: there are no labels, so nothing can be measured"
        )
    inside = stored.labels >= 0
    if not inside.any():
        raise InputError(f"{_about(stored, 'data') or 'the predictions'}: no sample belongs to one of the classes")
    chosen = stored.subset(inside)
    if by is not None and by not in chosen.columns:
        raise unknown("column of the predictions", by, chosen.columns)
    unit = _about(stored, "unit") or None
    units = chosen.columns.get(unit) if unit else None
    results = []
    for name, calibrator in calibrators.items():
        table = chosen.probabilities() if calibrator is None else calibrator(chosen)
        result: dict[str, Any] = {
            "data": _about(stored, "data"),
            "split": _about(stored, "split"),
            "calibrator": name,
            "n": len(chosen),
            "classes": len(chosen.classes),
            "unit": unit,
            "without_class": int((~inside).sum()),
            "measures": _noted(summary_with_intervals(table, chosen.labels, bins=bins, units=units)),
        }
        if by is not None:
            result["by"] = by
            groups = by_group(table, chosen.labels, chosen.columns[by], bins=bins, units=units)
            result["groups"] = [{**group, "measures": _noted(group["measures"])} for group in groups]
        results.append(result)
    return results


def tables(results: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Sequence[Mapping[str, Any]], tuple[str, ...]]]:
    """Arrange results for tables on the screen.

    Args:
        results: as `measure` gives them.

    Yields:
        A title, rows and the keys that say what a row is about: first all sets, then every subgrouping, worst first.
    """
    yield "Measured", results, ("data", "split", "calibrator", "n")
    for one in results:
        if "groups" in one:
            title = f"{one['data']} by {one['by']}, calibrator {one['calibrator']}, worst first".strip()
            yield title, one["groups"], ("group", "n", "note")


def what_was_measured(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which images stand behind results, a line for each set.

    Args:
        results: as `measure` gives them.

    Returns:
        The lines.

    Example:
        >>> what_was_measured([{"data": "folder:pets", "split": "test", "n": 12, "without_class": 0}])
        ['Measured on 12 test images of folder:pets.']
    """
    lines = []
    for one in results:
        images = f"{one['n']} {one['split']} images of {one['data']}" if one["data"] else f"{one['n']} predictions"
        left = one["without_class"]
        lines.append(f"Measured on {images}{f'; {left} of none of the classes are left out' if left else ''}.")
    return list(dict.fromkeys(lines))


def explain_columns(definitions: Mapping[str, str]) -> str:
    """Say in one line each what the shown measures mean."""
    return "\n".join(f"{name.replace('_', ' ')}: {definitions[name]}" for name in SHOWN)


def _finite(value: Any) -> Any:
    """Write an infinite loss as None, since JSON has no infinity."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _noted(measures: Mapping[str, Any]) -> dict[str, Any]:
    """Say why a loss is infinite, since JSON has no number for that."""
    if np.isfinite(measures["nll"]["value"]):
        return dict(measures)
    return {**measures, "nll": {**measures["nll"], "note": INFINITE}}


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
        stored = [one for one in run.predictions() if _about(one, "split") == split and one.labels is not None]
        if not stored:
            raise InputError(f"{run.path} holds no predictions of a {split} split; name one with --data")
        yield from stored


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


def _about(stored: Predictions, key: str) -> str:
    return str(stored.about.get(key) or "")
