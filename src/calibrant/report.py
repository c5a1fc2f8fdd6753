"""From stored runs to the report page: gather what was predicted, hand it to `reporting`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from calibrant.calibrate import COMMANDS, DEFAULT, PART, labelled, predictions_of, preferred, settled, usable
from calibrant.data.images import FileImages, ImageReader
from calibrant.deciding.abstain import THRESHOLD, find_rule, validation_parts
from calibrant.deciding.unknown_images import against_unknown, holds_unknown
from calibrant.errors import CalibrantWarning, InputError
from calibrant.measuring.behaviour import Behaviour, behaviour
from calibrant.metrics import Estimate, set_summary
from calibrant.rationality.judgements import settings_digest
from calibrant.reporting.rationality import ExplainedSet, explained_set
from calibrant.reporting.relying import RISKS, MeasuredSets, Reliance
from calibrant.reporting.results import (
    UNCALIBRATED,
    ImageSource,
    Kind,
    NearDuplicate,
    RunResults,
    SetResult,
    UnknownRow,
)
from calibrant.runs import Run
from calibrant.runs.naming import family
from calibrant.runs.seen import seen
from calibrant.storage import read_json

if TYPE_CHECKING:
    from calibrant.calibration import Calibrator
    from calibrant.calibration.conformal import ConformalSets
    from calibrant.predictions import Predictions

Pixels = npt.NDArray[np.uint8]
ALPHA = 0.1  # prediction sets may miss the right class in so many cases


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
    write_report((results(run, [written]) for run in opened), page)
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
    reliance, fitted = _reliance(run)
    unsettled = [name for name, one in run.calibrators().items() if not settled(one)]
    sets: list[SetResult] = []
    measured_sets: list[MeasuredSets] = []
    seen_so: list[Behaviour] = []
    unknown: list[UnknownRow] = []
    for stored in run.predictions():
        unknown += _unknown(run, stored)
        if not _is_reported(stored):
            continue
        sets.append(_set_result(run, stored))
        measured_sets += _measured_sets(run, fitted, stored)
        seen_so += filter(None, [behaviour(stored)])
    if not sets:
        raise InputError(f"{run.path} holds no predictions of a test set; run: calibrant predict '{run.path}' DATA")
    explained, old = _explained(run)
    order: dict[Kind, int] = {"id": 0, "ood": 1, "new": 2}
    sets.sort(key=lambda one: (order[one.kind], one.name))
    seen_so.sort(key=lambda one: one.set_name)
    measured_sets.sort(key=lambda one: (not one.promised, one.set_name))
    return RunResults(
        title=_title(run),
        method=run.method,
        model=record["model"]["name"],
        data=record["data"]["name"],
        sets=sets,
        commands=[*_commands(run), *commands],
        warnings=[*record.get("warnings", []), *map(_unsettled_warning, unsettled), *old],
        licences=[line for line in (_licence("model", record), _licence("data", record)) if line],
        versions=record["versions"],
        seeds={"data": record["data_seed"], "training": record["train_seed"]},
        facts=_facts(record),
        near_duplicates=_near_duplicates(run),
        course=_course(run),
        reliance=None if reliance is None else replace(reliance, sets=tuple(measured_sets)),
        behaviour=seen_so,
        unknown=unknown,
        explained=explained,
        unsettled=unsettled,
    )


def _explained(run: Run) -> tuple[list[ExplainedSet], list[str]]:
    """Read what was explained of test images, with masks first, and name what is of weights that the run had before."""
    found, old = [], []
    for files in run.explained():
        measured = read_json(files.measures_file)
        if measured["split"] != "test":
            continue
        if measured["settings"].get("weights") != run.record["weights"]:
            old.append(_old_warning(measured))
            continue
        judged = read_json(files.judgements_file) if files.judgements_file.is_file() else None
        if judged is not None and judged["settings"] != settings_digest(measured["settings"]):
            judged = None  # of maps that have been made anew since
        pictures = {file.name: file.read_bytes() for file in files.pictures_folder.glob("*.jpg")}
        found.append(explained_set(measured, judged, pictures))
    return sorted(found, key=lambda one: not one.masks), old


def _old_warning(measured: Mapping[str, Any]) -> str:
    return (
        f"what {measured['settings']['explainer']} explained of {measured['data']} is of other weights than the run "
        "has now, and is left out; explain it again (calibrant explain)"
    )


def _commands(run: Run) -> list[str]:
    """The command lines that made a run and the calibrators that it has."""
    made = run.record.get(COMMANDS, {})
    there = [made[name] for name in run.calibrators() if name in made]
    return [*filter(None, [run.record.get("command")]), *there]


def _unsettled_warning(name: str) -> str:
    return (
        f"calibrator '{name}' had no optimum on the images that it was fitted on, which do not tell how sure to be "
        "(such as none with a wrong answer); do not go by it, and fit it on more held-out images"
    )


def _is_reported(stored: Predictions) -> bool:
    return stored.about.get("split") == "test" and stored.labels is not None and bool((stored.labels >= 0).any())


def _unknown(run: Run, stored: Predictions) -> Iterator[UnknownRow]:
    """Measure scores of images of none of the classes, if there are any."""
    if stored.about.get("split") != "test" or not holds_unknown(stored):
        return
    calibrators = {UNCALIBRATED: None, **usable(run.calibrators(), stored)}
    for row in against_unknown(run, stored, calibrators, offline=True):
        measures = {name: Estimate.of(one) for name, one in row["measures"].items()}
        yield UnknownRow(row["data"], row["known"], row["score"], row["n"], row["n_known"], measures)


def _set_result(run: Run, stored: Predictions) -> SetResult:
    assert stored.labels is not None
    stored = stored.subset(stored.labels >= 0)
    known = seen(run, stored).count
    assert stored.labels is not None
    unit = stored.about.get("unit")
    calibrators = in_order(usable(run.calibrators(), stored))
    tables = {name: calibrator(stored) for name, calibrator in calibrators.items() if name != UNCALIBRATED}
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
        seen=known,
    )


def in_order(calibrators: Mapping[str, Calibrator]) -> dict[str, Calibrator]:
    """Put the calibrator to go by first.

    Args:
        calibrators: name to fitted calibrator.

    Returns:
        The same, with what `calibrant.calibrate.preferred` chooses at the head.
    """
    return dict(sorted(calibrators.items(), key=lambda item: (not settled(item[1]), item[0] != DEFAULT)))


def _reliance(run: Run) -> tuple[Reliance | None, list[ConformalSets]]:
    """Say from stored validation images when to rely on an answer, and fit prediction sets on them."""
    from calibrant.calibration import AdaptiveSets, ThresholdSets

    stored = run.calibrators()
    file = run.predictions_file(run.record["data"]["name"], "validation")
    if not stored or not file.is_file():
        return None, []
    calibrator = preferred(stored)
    try:
        validation = labelled(predictions_of(run, "validation"), f"{run.path} validation")
        parts = validation_parts(validation, calibrator)
    except InputError as reason:
        warnings.warn(f"the report says nothing on when to rely on an answer: {reason}", CalibrantWarning, stacklevel=3)
        return None, []
    rules = tuple(find_rule(parts, risk) for risk in RISKS)
    if PART not in validation.columns:  # the calibrator has seen all of these images, and sets need others
        return Reliance(calibrator.name, rules), []
    tested = validation.subset(validation.columns[PART] == THRESHOLD)
    fitted: list[ConformalSets] = [made(ALPHA, calibrator=calibrator) for made in (ThresholdSets, AdaptiveSets)]
    if len(tested) + 1 < 1 / ALPHA:
        return Reliance(calibrator.name, rules), []
    return Reliance(calibrator.name, rules), [one.fit(tested) for one in fitted]


def _measured_sets(run: Run, fitted: Sequence[ConformalSets], stored: Predictions) -> Iterator[MeasuredSets]:
    """Measure prediction sets where the classes are those that they were fitted on."""
    kind = _kind(run, stored)
    if stored.classes != run.classes or stored.labels is None:
        return
    inside, unit = stored.subset(stored.labels >= 0), stored.about.get("unit")
    units = inside.columns.get(unit) if unit else None
    for one in fitted:
        try:
            summary = set_summary(one.sets(inside), inside.labels, units=units)
        except InputError:  # the calibrator cannot be used here, which was said when it was left out
            return
        yield MeasuredSets(str(stored.about["data"]), kind == "id", one.name, one.alpha, summary)


def _kind(run: Run, stored: Predictions) -> Kind:
    if stored.about["data"] == run.record["data"]["name"]:
        return "id"
    return "ood" if set(stored.classes) & set(run.classes) else "new"


def _zero_shot(stored: Predictions) -> npt.NDArray[np.float64] | None:
    from calibrant.arrays import softmax

    return None if stored.zero_shot_logits is None else softmax(stored.zero_shot_logits)


def _image_source(run: Run, stored: Predictions) -> ImageSource | None:
    """Look pictures up by id; only those that are asked for are read."""
    name, split = str(stored.about["data"]), str(stored.about["split"])
    if name.startswith(("folder:", "csv:")):
        return _files(stored.about.get("data_about", {}))
    if family(name) == "emoji":
        return _scenes(run, name, split)
    return None


def _files(about: Mapping[str, Any]) -> ImageSource | None:
    """Look pictures up in a folder, or beside a manifest, and read them as they were read before."""
    from calibrant.runs.opening import IMAGE_OPTIONS

    source, options = Path(str(about.get("source", ""))), about.get("options") or {}
    if "source" not in about or not source.exists():
        return None
    root = source if source.is_dir() else source.parent
    reading = {key: options[key] for key in IMAGE_OPTIONS if key in options}

    def images(ids: Sequence[str]) -> list[Pixels]:
        files = FileImages([root / one for one in ids], ImageReader(**reading))
        return [_picture(files, index) for index in range(len(files))]

    return images


def _picture(files: FileImages, index: int) -> Pixels:
    try:
        return files[index]
    except InputError as error:
        warnings.warn(f"a picture is missing in the report: {error}", CalibrantWarning, stacklevel=2)
        return np.full((96, 96, 3), 128, np.uint8)


def _scenes(run: Run, name: str, split: str) -> ImageSource:
    from calibrant.data.registry import load_data

    # a set that was cut to fewer scenes begins with the same ones
    own = run.record["data"]
    scenes = (own["options"] or {}).get("scenes") if family(own["name"]) == "emoji" else None

    def images(ids: Sequence[str]) -> list[Pixels]:
        chosen = load_data(name, scenes=scenes).split(split)
        position = {one: index for index, one in enumerate(chosen.ids)}
        missing = [one for one in ids if one not in position]
        if missing:
            raise InputError(f"{name} has changed since it was predicted: image {missing[0]} is gone")
        return [chosen.images[position[one]] for one in ids]

    return images


def _near_duplicates(run: Run) -> tuple[NearDuplicate, ...]:
    images = _files(run.record["data"])
    return tuple(NearDuplicate(**row, images=images) for row in run.near_duplicates())


def _course(run: Run) -> list[dict[str, float]]:
    """What was watched in the last stage of tuning."""
    rows = [row for row in run.read_log() if "done" in row] if run.log_file.is_file() else []
    return [
        {key: value for key, value in row.items() if isinstance(value, int | float)}
        for row in rows
        if row["stage"] == rows[-1]["stage"]
    ]


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
