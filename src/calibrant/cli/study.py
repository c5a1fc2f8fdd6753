"""`calibrant study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def study(
    what: Annotated[str, typer.Argument(help="A study file (YAML) to run, or show.")],
    folder: Annotated[Path | None, typer.Argument(help="For show: the folder of the study.")] = None,
    *,
    to: Annotated[Path | None, typer.Option(help="Folder of the study; default: studies/NAME-OF-THE-FILE.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default: as the cores have room for.")] = None,
    metrics: Annotated[str, typer.Option(metavar="A,B", help="For show: measures.")] = "accuracy,ece,nll",
    form: Annotated[str, typer.Option("--format", help="For show: markdown, latex or csv.")] = "markdown",
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Tune many methods with many seeds from one file, and put what was measured into one table.

    A cell that is done is not done again, unless its method, the data or the model have changed; a study that was
    stopped goes on where it was. A cell that fails is named with its reason, does not stop the others, and the exit
    code is 1.

    Example: `calibrant study shifts.yaml`, then `calibrant study show studies/shifts --format markdown`
    """
    from calibrant.cli import show
    from calibrant.errors import InputError
    from calibrant.progress import announce
    from calibrant.studies.cells import StudyFolder
    from calibrant.studies.engine import run_study
    from calibrant.studies.plan import read_plan
    from calibrant.studies.summary import as_text, summarised
    from calibrant.studies.table import read_table

    if what == "show":
        if folder is None:
            raise InputError("name the folder of a study: calibrant study show studies/NAME")
        chosen = [name.strip() for name in metrics.split(",")]
        rows = read_table(StudyFolder(folder).table_file)
        if json:
            show.as_json(rows)
        else:
            typer.echo(as_text(summarised(rows, chosen), chosen, form))
        return
    plan = read_plan(what)
    place = to or Path("studies") / Path(what).stem
    done: list[str] = []

    def report(kept: dict[str, object]) -> None:
        done.append(str(kept["name"]))
        said = f"failed: {kept['failed']}" if "failed" in kept else f"{kept['seconds']} s"
        announce(f"{len(done)}: {kept['name']}, {said}", not json)

    result = run_study(plan, place, workers=workers, report=report)
    if json:
        show.as_json(result)
    else:
        typer.echo(
            f"{result['run']} cells run, {result['already_there']} were there already, {len(result['failed'])} failed. "
            f"Next: calibrant study show '{place}'"
        )
        for name, reason in result["failed"].items():
            typer.echo(f"{name}: {reason}", err=True)
    if result["failed"]:
        raise typer.Exit(1)
