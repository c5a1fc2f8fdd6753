"""`calibrant report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    to: Annotated[Path | None, typer.Option(help="Page to write; default: report.html in the first run.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write one self-contained page about one or more runs.

    Example: `calibrant report runs/pets-coop runs/pets-flyp --to pets.html`
    """
    from calibrant.cli import show
    from calibrant.report import report as write

    page = write(runs, to)
    if json:
        show.as_json({"page": page})
    else:
        typer.echo(f"Open {page} in a browser.")
