"""`calibrant list`."""

from __future__ import annotations

from typing import Annotated

import typer


def list_command(
    kind: Annotated[str, typer.Argument(help="methods, models, data, calibrators, metrics or explainers.")],
    name: Annotated[str | None, typer.Argument(help="One of them, with everything that is known of it.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remarks and sources of all methods, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """List methods, models, data sets, calibrators, metrics or explainers, with sources and licences.

    Example: `calibrant list methods`, or `calibrant list methods promptsrc`
    """
    from calibrant.catalogue import find, rows
    from calibrant.cli import show
    from calibrant.cli.calibrators import print_calibrators
    from calibrant.cli.methods import print_methods, print_remarks

    chosen = rows(kind) if name is None else [find(kind, name)]
    if json:
        show.as_json(chosen)
    elif name is not None:
        show.as_table([{"what": key.replace("_", " "), "value": value} for key, value in chosen[0].items()])
    elif kind == "methods":
        print_methods(chosen)
        print_remarks(chosen if everything else ())
    elif kind == "calibrators":
        print_calibrators(chosen)
    elif kind == "explainers":  # what each computes is a formula, which comes with its name
        show.as_table([{key: value for key, value in row.items() if key != "what"} for row in chosen])
    else:
        show.as_table(chosen)
