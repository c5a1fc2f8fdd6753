"""Tables for the terminal: one line for every method on every evaluation set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape

from calibrant.reporting.formats import ends, number
from calibrant.reporting.measures import measure_run
from calibrant.reporting.results import UNCALIBRATED, RunResults
from calibrant.reporting.rows import MEASURES, Measure, Row, rows_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

SHOWN = ("accuracy", "ece")


def results_table(title: str, rows: Sequence[Row], measures: Sequence[str] = SHOWN) -> Table:
    """Arrange measured rows as a table.

    Args:
        title: stands above the table.
        rows: what `calibrant.reporting.rows.rows_of` gives.
        measures: keys of the measures to show.

    Returns:
        A rich table: value and 95 % interval per measure, the noise floor beside the calibration error.
    """
    from rich import box
    from rich.table import Table

    caption = "In brackets: 95 % interval. Floor: the ECE a perfectly calibrated model would show on these images."
    table = Table(title=escape(title), title_justify="left", caption=caption, caption_justify="left", box=box.SIMPLE)
    table.add_column("images / method", overflow="fold", min_width=15)
    table.add_column("confidence", overflow="fold")
    chosen = [measure for measure in MEASURES if measure.key in measures]
    for measure in chosen:
        table.add_column(measure.heading, justify="right", no_wrap=True)
        if measure.key == "ece":
            table.add_column("floor", justify="right", no_wrap=True)
    previous = None
    for row in rows:
        if row.set_name != previous:
            if previous is not None:
                table.add_section()
            table.add_row(f"[bold]{escape(row.set_name)}[/bold]")
        table.add_row(*_cells(row, chosen))
        previous = row.set_name
    return table


def _cells(row: Row, chosen: Sequence[Measure]) -> list[str]:
    short = "as it is" if row.calibrator == UNCALIBRATED else row.calibrator
    cells = [f"  {escape(row.method)}", escape(short)]
    for measure in chosen:
        found = row.answers.values[measure.key]
        cells.append(f"{number(found.value, measure.share)} ({ends(found, measure.share)})")
        if measure.key == "ece":
            cells.append(number(row.answers.noise_floor, share=False))
    return cells


def print_results(results: Sequence[RunResults], console: Console | None = None) -> None:
    """Print one table for each model and data set that runs were tuned on.

    Args:
        results: the runs.
        console: where to print; standard output by default.
    """
    from rich.console import Console

    target = console or Console()
    groups: dict[tuple[str, str], list[RunResults]] = {}
    for run in results:
        groups.setdefault((run.model, run.data), []).append(run)
    for (model, data), group in groups.items():
        target.print(results_table(f"{model} on {data}", rows_of([measure_run(run) for run in group])))
