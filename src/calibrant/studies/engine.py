"""Running a study: the cells that are missing, in processes sized to the cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from calibrant.storage import digest
from calibrant.studies.cells import Cell, StudyFolder, cells_of
from calibrant.studies.measured_cell import keep, run_cell
from calibrant.studies.plan import Plan
from calibrant.studies.table import write_table

Report = Callable[[dict[str, Any]], None]


def run_study(
    plan: Plan, folder: str | Path, *, workers: int | None = None, report: Report | None = None
) -> dict[str, Any]:
    """Run the cells of a study that are not done; a study that was killed goes on where it was.

    Args:
        plan: the study.
        folder: where runs and results are kept.
        workers: processes; by default as many as the cores have room for.
        report: is told of every cell as it ends.

    Returns:
        ``folder``, ``table`` and how many cells were ``run``, were ``already_there``, and ``failed`` (name to reason).

    Raises:
        InputError: if data or model cannot be opened, or the folder cannot be written.
    """
    place = StudyFolder(folder)
    data = fingerprint(plan)
    cells = cells_of(plan)
    waiting = [cell for cell in cells if not place.done(cell, data)]
    failed: dict[str, str] = {}

    def ended(kept: dict[str, Any]) -> None:
        if "failed" in kept:
            failed[kept["name"]] = kept["failed"]
        write_table(place)
        if report is not None:
            report(kept)

    _in_processes(place.path, waiting, data, workers or _room(plan), ended)
    write_table(place)
    return {
        "folder": str(place.path),
        "table": str(place.table_file),
        "run": len(waiting) - len(failed),
        "already_there": len(cells) - len(waiting),
        "failed": failed,
    }


def fingerprint(plan: Plan) -> str:
    """Name the content of the data sets of a study, and of its model: results of other ones do not count."""
    from calibrant.data.registry import load_data
    from calibrant.runs.opening import open_model

    sets = [load_data(plan.data, **plan.data_options), *(load_data(name) for name in plan.test)]
    found = [[one.split(split).fingerprint for split in one.splits] for one in sets]
    return digest(found, open_model(plan.model).fingerprint())[:16]


def _room(plan: Plan) -> int:
    return max(1, (os.cpu_count() or 1) // plan.threads)


def _in_processes(folder: Path, cells: list[Cell], data: str, workers: int, ended: Report) -> None:
    if not cells:
        return
    threads = cells[0].plan.threads
    # a fresh interpreter each: a forked one would share locks and thread pools with this one
    pool = ProcessPoolExecutor(min(workers, len(cells)), get_context("spawn"), _begin, (threads,))
    with pool:
        running: dict[Future[dict[str, Any]], Cell] = {
            pool.submit(run_cell, folder, cell, data): cell for cell in cells
        }
        try:
            while running:
                for one in wait(running, return_when=FIRST_COMPLETED).done:
                    ended(_result(one, running.pop(one), folder, data))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _result(one: Future[dict[str, Any]], cell: Cell, folder: Path, data: str) -> dict[str, Any]:
    """Take what a cell came to; one that failed is kept with its reason, and does not stop the others."""
    error = one.exception()
    if error is None:
        return one.result()
    reason = " ".join(str(error).split()) or type(error).__name__
    return keep(StudyFolder(folder), cell, {"name": cell.name, "key": cell.key, "data": data, "failed": reason})


def _begin(threads: int) -> None:
    """Fix the threads of a process before anything that reads them is loaded."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    import torch

    torch.set_num_threads(threads)
