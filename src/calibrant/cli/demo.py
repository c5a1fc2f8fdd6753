"""`calibrant demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for the runs and the report; default: runs/demo or runs/demo-quick."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer scenes and steps: one minute instead of five.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Tune the packaged model on the packaged images in four ways, and show how far each can be trusted.

    Needs no network. Stopped half-way, it goes on where it was.

    Example: `calibrant demo --quick`
    """
    from rich.console import Console

    from calibrant.cli import show
    from calibrant.demo import NEXT_STEPS
    from calibrant.demo import demo as run_demo
    from calibrant.reporting import measures_table

    folder = output or Path("runs/demo-quick" if quick else "runs/demo")
    result = run_demo(folder, quick=quick, progress=not json)
    if json:
        show.as_json(result)
        return
    for title, rows in result["tables"].items():
        Console().print(measures_table(title, rows, ("images", "method", "calibrator")))
    typer.echo(f"\nThe report: {result['report']}\n\n{NEXT_STEPS}")
