"""The table of measures for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from calibrant.metrics import Estimate
from calibrant.reporting.formats import ends, number
from calibrant.reporting.rows import MEASURES, Measure

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = ("accuracy", "ece", "nll")
INTERVAL = "Under each value: its 95 % interval."
FLOOR = " Floor: the ECE that a perfectly calibrated model would show on as many images."


def measures_table(
    title: str, rows: Sequence[Mapping[str, Any]], about: Sequence[str], measures: Sequence[str] = SHOWN
) -> Table:
    """Arrange measured sets, methods or subgroups as a table.

    Args:
        title: stands above the table.
        rows: what each line is about, and under ``measures`` what `calibrant.metrics.summary_with_intervals` gave,
            such as the results of `calibrant.evaluate.measure`.
        about: the keys of a row that say what it is about, such as ``("data", "method", "calibrator")``; what the
            first repeats is written once, what no row has is left out.
        measures: keys of the measures to show.

    Returns:
        A rich table: value and 95 % interval per measure, the noise floor beside the calibration error.
    """
    from rich import box
    from rich.table import Table

    about = [key for key in about if any(row.get(key) not in (None, "") for row in rows)]
    caption = INTERVAL + (FLOOR if "ece" in measures else "")
    table = Table(
        title=_text(title),
        title_justify="left",
        caption=caption,
        caption_justify="left",
        box=box.SIMPLE,
        pad_edge=False,
        padding=0,  # the columns of the demo just fit into a terminal of 80
    )
    for key in about:
        numeric = all(isinstance(row.get(key), int) for row in rows)
        table.add_column(_text(key.replace("_", " ")), justify="right" if numeric else "left", overflow="fold")
    chosen = [measure for measure in MEASURES if measure.key in measures]
    for measure in chosen:
        table.add_column(measure.heading, justify="right", no_wrap=True)
        if measure.key == "ece":
            table.add_column("floor", justify="right", no_wrap=True)
    previous = None
    for row in rows:
        first, *others = (_text(row.get(key, "")) for key in about)
        if previous is not None and first != previous and others:
            table.add_section()
        table.add_row("" if first == previous else first, *others, *_cells(row["measures"], chosen))
        previous = first if others else None
    return table


def _text(value: Any) -> str:
    from rich.markup import escape

    return escape(str(value))


def _cells(measured: Mapping[str, Any], chosen: Sequence[Measure]) -> list[str]:
    cells = []
    for measure in chosen:
        found = Estimate.of(measured[measure.key])
        cells.append(f"{number(found.value, measure.share)}\n{ends(found, measure.share)}")
        if measure.key == "ece":
            cells.append(number(measured["ece_noise_floor"]["value"], share=False))
    return cells
