"""From stored runs to the report page: gather what was predicted, hand it to `reporting`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from calibrant.errors import InputError
from calibrant.reporting.results import UNCALIBRATED, Kind, RunResults, SetResult
from calibrant.runs import Run

if TYPE_CHECKING:
    from calibrant.predictions import Predictions


def report(runs: Sequence[str | Path | Run], to: str | Path | None = None, *, command: str | None = None) -> Path:
    """Write one self-contained page about one or more runs.

    Args:
        runs: the runs or their folders.
        to: the page; by default ``report.html`` in the first run.
        command: the command line that makes the page, to be shown in it.

    Returns:
        Where the page is.

    Raises:
        InputError: if a folder is no finished run, or holds no predictions of a test set.
    """
    from calibrant.reporting.page import write_report

    opened = [run if isinstance(run, Run) else Run.load(run) for run in runs]
    if not opened:
        raise InputError("name at least one run to report on")
    page = opened[0].report_file if to is None else Path(to)
    written = command or " ".join(["calibrant report", *(f"'{run.path}'" for run in opened), f"--to '{page}'"])
    write_report([results(run, [written]) for run in opened], page)
    return page


def results(run: Run, commands: Sequence[str] = ()) -> RunResults:
    """Gather what a report says about one run; needs neither torch nor the model.

    Args:
        run: the run.
        commands: command lines to show besides the one that made the run.

    Returns:
        Everything that was predicted on test sets, without and with the run's calibrators.

    Raises:
        InputError: if no test set was predicted.
    """
    record = run.record
    sets = [_set_result(run, stored) for stored in run.predictions() if _is_reported(stored)]
    if not sets:
        raise InputError(f"{run.path} holds no predictions of a test set; run: calibrant predict '{run.path}' DATA")
    order: dict[Kind, int] = {"id": 0, "ood": 1, "new": 2}
    sets.sort(key=lambda one: (order[one.kind], one.name))
    return RunResults(
        title=_title(run),
        method=run.method,
        model=record["model"]["name"],
        data=record["data"]["name"],
        sets=sets,
        commands=[*filter(None, [record.get("command")]), *commands],
        warnings=record.get("warnings", []),
        licences=[line for line in (_licence("model", record), _licence("data", record)) if line],
        versions=record["versions"],
        seeds={"data": record["data_seed"], "training": record["train_seed"]},
        facts=_facts(record),
    )


def _is_reported(stored: Predictions) -> bool:
    return stored.about.get("split") == "test" and stored.labels is not None and bool((stored.labels >= 0).any())


def _set_result(run: Run, stored: Predictions) -> SetResult:
    assert stored.labels is not None
    stored = stored.subset(stored.labels >= 0)
    assert stored.labels is not None
    unit = stored.about.get("unit")
    tables = {name: calibrator(stored) for name, calibrator in run.calibrators().items() if name != UNCALIBRATED}
    about = stored.about.get("data_about", {})
    return SetResult(
        name=stored.about["data"],
        kind=_kind(run, stored),
        labels=stored.labels,
        classes=stored.classes,
        probabilities={UNCALIBRATED: stored.probabilities(), **tables},
        description=str(about.get("what") or about.get("description") or ""),
        zero_shot=_zero_shot(stored),
        ids=stored.ids or (),
        units=stored.columns.get(unit) if unit else None,
        images=_image_source(run, stored),
    )


def _kind(run: Run, stored: Predictions) -> Kind:
    if stored.about["data"] == run.record["data"]["name"]:
        return "id"
    return "ood" if set(stored.classes) & set(run.classes) else "new"


def _zero_shot(stored: Predictions) -> npt.NDArray[np.float64] | None:
    from calibrant.arrays import softmax

    return None if stored.zero_shot_logits is None else softmax(stored.zero_shot_logits)


def _image_source(run: Run, stored: Predictions) -> Callable[[Sequence[str]], list[npt.NDArray[np.uint8]]] | None:
    """Look images up by id in the data set, which is opened when the first one is asked for."""
    name, split = str(stored.about["data"]), str(stored.about["split"])
    kind, _, place = name.partition(":")
    if kind in ("folder", "csv") and not Path(place.partition("#")[0]).exists():
        return None

    def images(ids: Sequence[str]) -> list[npt.NDArray[np.uint8]]:
        chosen = run.open_data(name).split(split)
        position = {one: index for index, one in enumerate(chosen.ids)}
        missing = [one for one in ids if one not in position]
        if missing:
            raise InputError(f"{name} has changed since it was predicted: image {missing[0]} is gone")
        return [chosen.images[position[one]] for one in ids]

    return images


def _title(run: Run) -> str:
    title = str(run.record.get("title") or run.method)
    shots = run.record.get("shots")
    return f"{title}, {shots} shots" if shots and run.method != "zero-shot" else title


def _licence(what: str, record: dict[str, Any]) -> str:
    one = record[what]
    parts = [str(one[key]) for key in ("licence", "source") if one.get(key)]
    return f"{what} {one['name']}: {', '.join(parts)}" if parts else ""


def _facts(record: dict[str, Any]) -> dict[str, str]:
    facts = {
        "profile": record.get("profile"),
        "images tuned on": record.get("counts", {}).get("train"),
        "templates": " · ".join(record["templates"]),
        "machine": record.get("machine", {}).get("platform"),
        "threads": record.get("machine", {}).get("threads"),
        "seconds of tuning": record.get("seconds", {}).get("tuning"),
        "started": record.get("started"),
    }
    return {name: str(value) for name, value in facts.items() if value is not None}
