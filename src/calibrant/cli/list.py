"""`calibrant list`."""

from __future__ import annotations

from typing import Annotated

import typer


def list_command(
    kind: Annotated[str, typer.Argument(help="methods, models, data, calibrators or metrics.")],
    json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """List methods, models, data sets, calibrators or metrics, with sources and licences.

    Example: `calibrant list methods`
    """
    from calibrant.catalogue import rows
    from calibrant.cli import show
    from calibrant.cli.calibrators import print_calibrators
    from calibrant.cli.methods import print_methods

    if json:
        show.as_json(rows(kind))
    elif kind == "methods":
        print_methods(rows(kind))
    elif kind == "calibrators":
        print_calibrators(rows(kind))
    else:
        show.as_table(rows(kind))
