"""`calibrant evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    source: Annotated[Path, typer.Argument(help="Folder of a run, or predictions (.safetensors .npz .parquet .csv).")],
    data: Annotated[str | None, typer.Option(help="Data set to predict first; default: what is stored.")] = None,
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    by: Annotated[str | None, typer.Option(help="Column whose subgroups are measured one by one.")] = None,
    calibrator: Annotated[
        str | None,
        typer.Option(help="A calibrator file, one of the run's, or none; default: all of the run's."),
    ] = None,
    bins: Annotated[int, typer.Option(min=1, help="Bins of the calibration errors.")] = 15,
    allow_seen: Annotated[bool, typer.Option("--allow-seen", help="Measure on images that were tuned on.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never open a network connection.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure accuracy and calibration, with intervals.

    Example: `calibrant evaluate logits.npz --json`, or `calibrant evaluate runs/pets --by site`
    """
    from calibrant.cli import show
    from calibrant.evaluate import as_rows, explain_columns
    from calibrant.evaluate import evaluate as measure

    result = measure(
        source,
        data=data,
        split=split,
        by=by,
        calibrator=calibrator,
        bins=bins,
        allow_seen=allow_seen,
        offline=offline,
    )
    if json:
        show.as_json(result)
        return
    for title, rows in as_rows(result["results"]):
        show.as_table(rows, title=title)
    typer.echo(explain_columns(result["definitions"]))
