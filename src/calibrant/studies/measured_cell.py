"""One cell: tune, predict, calibrate, measure. It runs in a process of its own."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calibrant.errors import CalibrantWarning, InputError
from calibrant.storage import finite, write_json
from calibrant.studies.cells import Cell, StudyFolder

if TYPE_CHECKING:
    from calibrant.runs import Run


def run_cell(folder: Path, cell: Cell, data: str) -> dict[str, Any]:
    """Run a cell and keep its result.

    Args:
        folder: of the study.
        cell: the cell.
        data: names the content of the data sets.

    Returns:
        ``name``, ``key``, ``data``, ``seconds`` and ``rows``, see `rows_of`.

    Raises:
        InputError: whatever makes the cell impossible.
    """
    began = time.monotonic()
    place = StudyFolder(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrantWarning)  # the report of a run says them
        rows = list(rows_of(cell, _tuned(place, cell)))
    kept = {"name": cell.name, "key": cell.key, "data": data, "seconds": round(time.monotonic() - began, 1)}
    return keep(place, cell, {**kept, "rows": rows})


def keep(place: StudyFolder, cell: Cell, result: dict[str, Any]) -> dict[str, Any]:
    """Write what a cell came to, whole or not at all, and give it back as it is read again."""
    kept: dict[str, Any] = finite(result)
    write_json(place.result_file(cell), kept)
    return kept


def rows_of(cell: Cell, run: Run) -> Iterator[dict[str, Any]]:
    """Measure a run on all sets of its study.

    Args:
        cell: the cell.
        run: its run.

    Yields:
        For every test set and calibrator ``method``, ``shots``, ``seed``, ``data``, ``calibrator``, ``n`` and every
        measure by its name; a calibrator that cannot be used on a set has no row there.
    """
    from calibrant.calibrate import NONE, usable
    from calibrant.measuring import measure

    for name in (cell.plan.data, *cell.plan.test):
        stored = run.predict(name, "test", offline=True)
        fitted = {key: one for key, one in run.calibrators().items() if key in cell.plan.calibrators}
        for found in measure(stored, {NONE: None, **usable(fitted, stored)}, level=None):
            yield {
                "method": cell.variant.title,
                "shots": cell.shots,
                "seed": cell.seed,
                "data": name,
                "calibrator": found["calibrator"],
                "n": found["n"],
                **{key: one["value"] for key, one in found["measures"].items()},
            }


def _tuned(place: StudyFolder, cell: Cell) -> Run:
    """Tune, go on, or take the run that is there if it would come out the same; then calibrate."""
    from calibrant.calibrate import calibrate
    from calibrant.runs.resuming import AnotherRun
    from calibrant.tune import tune

    plan, one = cell.plan, cell.variant

    def tuned(*, resume: bool = False, overwrite: bool = False) -> Run:
        return tune(
            plan.model,
            plan.data,
            one.method,
            shots=cell.shots,
            seed=cell.seed,
            output=place.run_folder(cell),
            profile=one.profile,
            overrides=one.set,
            data_options=plan.data_options,
            resume=resume,
            overwrite=overwrite,
            progress=False,
        )

    try:
        run = tuned(resume=True)
    except AnotherRun:
        run = tuned(overwrite=True)
    for name in plan.calibrators:
        if name not in run.calibrators():
            try:
                calibrate(run, name)
            except InputError:  # such as one for classes that this method does not have: it has no row
                continue
    return run
