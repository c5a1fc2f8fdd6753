"""The report: one HTML page that holds everything it needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from calibrant.errors import InputError
from calibrant.reporting import rationality, unknown
from calibrant.reporting.course import Course, course_of
from calibrant.reporting.figures import MARKERS, Mark, reliability_diagram, values_by_set
from calibrant.reporting.formats import (
    ends,
    nobreak,
    number,
    signed,
    signed_ends,
    signed_point_ends,
    signed_points,
    sortable,
)
from calibrant.reporting.gallery import Gallery, gallery, weight
from calibrant.reporting.helping import Effect, effects, in_words, verdict
from calibrant.reporting.measures import Answers, MeasuredRun, MeasuredSet, measure_run
from calibrant.reporting.next_steps import next_steps
from calibrant.reporting.pairs import Pairs, pairs
from calibrant.reporting.rationality import ExplainedSet
from calibrant.reporting.relying import SET_WORDS, USUAL
from calibrant.reporting.results import KIND_WORDS, UNCALIBRATED, RunResults
from calibrant.reporting.rows import MEASURES, Row, rows_of
from calibrant.reporting.svg import SERIES, light_colours
from calibrant.reporting.words import Point, calibrator_words, choose_lead, first_box, percent
from calibrant.storage import atomic_write

if TYPE_CHECKING:
    from markupsafe import Markup

FIGURE_BUDGET, PICTURE_BUDGET = 1_200_000, 1_300_000  # characters; the page stays below 3 MB


@dataclass(frozen=True)
class Diagram:
    """One reliability diagram with what stands under it."""

    heading: str
    svg: Markup
    answers: Answers


@dataclass(frozen=True)
class DiagramPair:
    """The diagrams of one run on one set, before and after calibration."""

    run: MeasuredRun
    measured: MeasuredSet
    diagrams: tuple[Diagram, ...]


@dataclass(frozen=True)
class Legend:
    """One method in the legend of the figures."""

    title: str
    series: int
    marker: str


@dataclass(frozen=True)
class Warned:
    """One warning and the runs that gave it."""

    text: str
    runs: str


@dataclass(frozen=True)
class Section:
    """What the page says about the runs on one model and data."""

    model: str
    data: str
    runs: tuple[MeasuredRun, ...]
    lead: MeasuredRun
    warnings: tuple[Warned, ...]
    points: tuple[Point, ...]
    steps: tuple[str, ...]
    rows: tuple[Row, ...]
    legend: tuple[Legend, ...]
    figures: tuple[tuple[str, Markup], ...]
    diagrams: tuple[DiagramPair, ...]
    effects: tuple[tuple[MeasuredRun, tuple[Effect, ...]], ...]
    effects_in_words: tuple[str, ...]
    unknown_in_words: tuple[str, ...]
    courses: tuple[Course, ...]
    explained: tuple[tuple[MeasuredRun, ExplainedSet], ...]
    maps_left_out: int
    galleries: tuple[tuple[MeasuredRun, Gallery], ...]
    diagrams_left_out: int
    galleries_left_out: int
    pairs: Pairs | None


def write_report(results: Iterable[RunResults], path: str | Path) -> Path:
    """Write one self-contained page about one or more runs.

    Args:
        results: the runs; those on the same model and data are compared with one another. A generator gives one
            at a time.
        path: the HTML file.

    Returns:
        The path.

    Raises:
        InputError: if there is nothing to report on or the file cannot be written.
    """
    groups: dict[tuple[str, str], list[MeasuredRun]] = {}
    for run in results:
        groups.setdefault((run.model, run.data), []).append(measure_run(run))
    if not groups:
        raise InputError("a report needs at least one run")
    share = len(groups)
    sections = [_section(number, group, share) for number, group in enumerate(groups.values())]
    text = _fill(sections, title=_title([one.run for group in groups.values() for one in group]))
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _title(results: Sequence[RunResults]) -> str:
    names = list(dict.fromkeys(run.title for run in results if run.method != "zero-shot")) or [results[0].title]
    shown = ", ".join(names[:4]) + (" and others" if len(names) > 4 else "")
    return f"{shown}: how far to trust it" if len(names) == 1 else f"{shown}: how far to trust them"


def _section(number: int, group: Sequence[MeasuredRun], share: int) -> Section:
    lead = choose_lead(group)
    rows = rows_of(group)
    diagrams, diagrams_left_out = _diagrams(number, group, lead, FIGURE_BUDGET // share)
    explained, maps_left_out = _explained(group, lead, PICTURE_BUDGET // share // 2)
    left = PICTURE_BUDGET // share - rationality.weight([one for _, one in explained])
    galleries, galleries_left_out = _galleries(group, lead, left)
    titles = {row.series: row.method for row in rows}
    gone_by = lead.run.reliance.calibrator if lead.run.reliance else UNCALIBRATED
    found = [(run, effects(run)) for run in [lead, *(run for run in group if run is not lead)]]
    return Section(
        model=lead.run.model,
        data=lead.run.data,
        runs=tuple(group),
        lead=lead,
        warnings=tuple(_warnings(group)),
        points=tuple(first_box(group)),
        steps=tuple(next_steps(lead)),
        rows=tuple(rows),
        legend=tuple(
            Legend(titles[series], series % SERIES, MARKERS[series % len(MARKERS)]) for series in sorted(titles)
        ),
        figures=_figures(number, rows),
        diagrams=diagrams,
        effects=tuple((run, own) for run, own in found if own),
        effects_in_words=tuple(in_words(found[0][1])),
        unknown_in_words=tuple(unknown.in_words(lead.run.unknown, gone_by)),
        courses=tuple(_courses(number, group, lead)),
        explained=explained,
        maps_left_out=maps_left_out,
        galleries=galleries,
        diagrams_left_out=diagrams_left_out,
        galleries_left_out=galleries_left_out,
        pairs=pairs(next((run.run.near_duplicates for run in group if run.run.near_duplicates), ())),
    )


def _warnings(group: Sequence[MeasuredRun]) -> Iterable[Warned]:
    """Every warning once, with the runs that gave it."""
    given: dict[str, dict[str, None]] = {}
    for run in group:
        for line in run.run.warnings:
            given.setdefault(line, {})[run.run.title] = None
    for line, titles in given.items():
        yield Warned(line, "all runs" if len(titles) == len(group) > 1 else ", ".join(titles))


def _figures(number: int, rows: Sequence[Row]) -> tuple[tuple[str, Markup], ...]:
    after = [row for row in rows if row.calibrator == UNCALIBRATED]
    made = []
    for key, axis, heading, chosen in (
        ("accuracy", "share of images that is right", "How often it is right", after),
        ("ece_debiased", "calibration error (debiased ECE)", "Calibration error: lower is better", _to_go_by(rows)),
    ):
        calibrated = {row.calibrator for row in rows} != {UNCALIBRATED}
        marks = [
            Mark(
                row.set_name,
                row.series,
                row.answers.values[key].value,
                row.answers.values[key].low,
                row.answers.values[key].high,
                hollow=key != "accuracy" and calibrated and row.calibrator == UNCALIBRATED,
            )
            for row in chosen
        ]
        said = "; ".join(
            f"{row.set_name}, {row.method}, {calibrator_words(row.calibrator)}: {row.answers.values[key].value:.3f}"
            for row in chosen
        )
        made.append(
            (
                heading,
                values_by_set(marks, axis, key == "accuracy", f"g{number}-{key}", f"{heading}. {said}."),
            )
        )
    return tuple(made)


def _to_go_by(rows: Sequence[Row]) -> list[Row]:
    """Leave each run on each set its confidence as it is, and that of the calibrator to go by, which comes first."""
    calibrators: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        calibrators.setdefault((row.set_name, row.series), []).append(row.calibrator)
    return [row for row in rows if row.calibrator in calibrators[row.set_name, row.series][:2]]


def _courses(number: int, group: Sequence[MeasuredRun], lead: MeasuredRun) -> Iterable[Course]:
    """How the lead, and then every other run, changed while it was tuned."""
    for index, one in enumerate([lead, *(run for run in group if run is not lead)]):
        made = course_of(one.run.title, one.run.course, f"g{number}-c{index}")
        if made is not None:
            yield made


def _in_order(group: Sequence[MeasuredRun], lead: MeasuredRun) -> Iterable[tuple[MeasuredRun, MeasuredSet]]:
    """What is shown in pictures: the main set of every run, then the other sets of the lead."""
    runs = [lead, *(run for run in group if run is not lead)]
    yield from ((run, run.main) for run in runs)
    yield from ((lead, one) for one in lead.sets if one is not lead.main)


def _diagrams(
    number: int, group: Sequence[MeasuredRun], lead: MeasuredRun, budget: int
) -> tuple[tuple[DiagramPair, ...], int]:
    pairs: list[DiagramPair] = []
    pending = list(_in_order(group, lead))
    for index, (run, measured) in enumerate(pending):
        shown = dict.fromkeys((UNCALIBRATED, measured.final_name))
        made = []
        for name in shown:
            answers = measured.calibrated[name]
            heading = calibrator_words(name)
            said = _describe(run, measured, heading, answers)
            made.append(
                Diagram(heading, reliability_diagram(answers.curve, f"g{number}-d{index}-{name}", said), answers)
            )
        budget -= sum(len(one.svg) for one in made)
        if budget < 0 and pairs:
            return tuple(pairs), len(pending) - index
        pairs.append(DiagramPair(run, measured, tuple(made)))
    return tuple(pairs), 0


def _describe(run: MeasuredRun, measured: MeasuredSet, heading: str, answers: Answers) -> str:
    curve = answers.curve
    bins = "; ".join(
        f"{percent(says)} sure, {percent(right)} right, {count} images"
        for says, right, count in zip(curve.confidence, curve.accuracy, curve.count, strict=True)
        if count
    )
    return f"Reliability diagram, {run.run.title} on {measured.result.name}, {heading}. {bins}."


def _explained(
    group: Sequence[MeasuredRun], lead: MeasuredRun, budget: int
) -> tuple[tuple[tuple[MeasuredRun, ExplainedSet], ...], int]:
    """What was explained, that of the lead first."""
    runs = [lead, *(run for run in group if run is not lead)]
    pairs = [(run, one) for run in runs for one in run.run.explained]
    sets, left_out = rationality.within([one for _, one in pairs], budget)
    return tuple((run, one) for (run, _), one in zip(pairs, sets, strict=True)), left_out


def _galleries(
    group: Sequence[MeasuredRun], lead: MeasuredRun, budget: int
) -> tuple[tuple[tuple[MeasuredRun, Gallery], ...], int]:
    pending = [pair for pair in _in_order(group, lead) if pair[1].result.images is not None]
    found: list[tuple[MeasuredRun, Gallery]] = []
    for index, (run, measured) in enumerate(pending):
        made = gallery(measured)
        if made is None:
            continue
        budget -= weight([made])
        if budget < 0 and found:
            return tuple(found), len(pending) - index
        found.append((run, made))
    return tuple(found), 0


def _fill(sections: Sequence[Section], title: str) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("calibrant.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        nobreak=nobreak,
        percent=percent,
        calibrator=calibrator_words,
        score=unknown.score_words,
        number=number,
        signed=signed,
        signed_ends=signed_ends,
        signed_points=signed_points,
        signed_point_ends=signed_point_ends,
        rationality_in_words=rationality.in_words,
        judged_share=rationality.judged_share,
        agreement=rationality.agreement_words,
        verdict=verdict,
        ends=ends,
        sortable=sortable,
    )
    return environment.get_template("page.html").render(
        title=title,
        sections=sections,
        measures=MEASURES,
        rationality_measures=rationality.MEASURES,
        cell_words=rationality.CELL_WORDS,
        cells_in_short=rationality.CELLS_IN_SHORT,
        kinds=KIND_WORDS,
        set_words=SET_WORDS,
        usual=USUAL,
        colours=light_colours(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
