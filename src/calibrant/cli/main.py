"""The command `calibrant`."""

from __future__ import annotations

from typing import Annotated

import typer

from calibrant.cli.calibrate import calibrate
from calibrant.cli.classify import classify
from calibrant.cli.demo import demo
from calibrant.cli.evaluate import evaluate
from calibrant.cli.explain import explain
from calibrant.cli.group import Commands
from calibrant.cli.list import list_command
from calibrant.cli.predict import predict
from calibrant.cli.report import report
from calibrant.cli.study import study
from calibrant.cli.sweep import sweep
from calibrant.cli.tune import tune

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(tune)
app.command()(predict)
app.command()(calibrate)
app.command()(evaluate)
app.command()(explain)
app.command()(sweep)
app.command()(classify)
app.command()(report)
app.command()(study)
app.command("list")(list_command)
app.command()(demo)


def _version(wanted: bool) -> None:
    if wanted:
        from calibrant import __version__

        typer.echo(f"calibrant {__version__}")
        raise typer.Exit


@app.callback()
def calibrant(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Tune vision-language models so that their confidence can be believed.

    Start with `calibrant demo`, or with a folder of your own images, one sub-folder per class:
    `calibrant tune ViT-B-32/laion2b_s34b_b79k folder:my-images --method coop`
    """
