"""`calibrant evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibrant.cli.reading import DataOptions, Offline, reads_images

ALL = "all"


@reads_images
def evaluate(
    source: Annotated[Path, typer.Argument(help="Folder of a run, or predictions (.safetensors .npz .parquet .csv).")],
    *,
    data: Annotated[str | None, typer.Option(help="Data set to predict first; default: what is stored.")] = None,
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    data_options: DataOptions,
    by: Annotated[str | None, typer.Option(help="Column whose subgroups are measured one by one.")] = None,
    calibrator: Annotated[
        str | None,
        typer.Option(help="A calibrator file, one of the run's, or none; default: all of the run's."),
    ] = None,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Measures (see `calibrant list metrics`), or all; default: accuracy,ece,nll; JSON: all.",
        ),
    ] = None,
    bins: Annotated[int, typer.Option(min=1, help="Bins of the calibration errors.")] = 15,
    interval: Annotated[str, typer.Option(metavar="LEVEL", help="Confidence of the intervals, or none.")] = "0.95",
    as_published: Annotated[
        bool, typer.Option("--as-published", help="Add calibration errors as published code computes them.")
    ] = False,
    compare: Annotated[
        Path | None, typer.Option(help="Another run or predictions on the same samples, to be subtracted.")
    ] = None,
    costs: Annotated[
        Path | None, typer.Option(help="CSV file of what answers cost: true,CLASS,...,ask; measure decisions by it.")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(metavar="CLASS=SHARE", help="How frequent classes are there: defect=0.02, or estimate."),
    ] = None,
    nouns: Annotated[
        bool, typer.Option("--nouns", help="Tell images of no class by nouns, too; needs the model.")
    ] = False,
    allow_seen: Annotated[bool, typer.Option("--allow-seen", help="Measure on images that were tuned on.")] = False,
    offline: Offline = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure accuracy and calibration, with intervals.

    Images of another folder than the tuned one (`--data folder:PATH`) are read as in tuning, unless said otherwise.
    All of them are test images, unless the folder has train, val and test folders or the manifest a column split.

    Example: `calibrant evaluate logits.npz --json`, or `calibrant evaluate runs/pets --data folder:more-pets`, or
    `calibrant evaluate runs/pets-coop --compare runs/pets --metrics accuracy,ece,aurc`
    """
    from rich.console import Console

    from calibrant.cli import show
    from calibrant.deciding.unknown_images import explain
    from calibrant.evaluate import evaluate as measure
    from calibrant.measuring.expected_cost import in_words
    from calibrant.measuring.on_screen import explain_columns, tables, what_was_measured
    from calibrant.reporting import captions_once, measures_table

    chosen = None if metrics in (None, ALL) else [name.strip() for name in str(metrics).split(",")]
    result = measure(
        source,
        data=data,
        data_options=data_options,
        split=split,
        by=by,
        calibrator=calibrator,
        bins=bins,
        measures=chosen,
        level=_level(interval),
        as_published=as_published,
        compare=compare,
        costs=costs,
        prior=prior,
        nouns=nouns,
        allow_seen=allow_seen,
        offline=offline,
    )
    if json:
        show.as_json(result)
        return
    for line in what_was_measured(result["results"]):
        typer.echo(line)
    for one in result["results"]:
        if "prior" in one:
            typer.echo(f"{one['data']}, calibrator {one['calibrator']}: {one['prior']['says']}")
    shown = list(result["definitions"]) if metrics == ALL else chosen
    for table in captions_once(measures_table(*one) for one in tables(result["results"], shown, result["level"])):
        Console().print(table)
    typer.echo(explain_columns(result["definitions"], shown))
    if unknown := result.get("unknown"):
        about, scores = ("data", "score", "n"), ("auroc", "fpr95", "passing")
        title = f"Images of none of the classes, told from those of {unknown[0]['known'] or 'the classes'}"
        Console().print(measures_table(title, unknown, about, scores, result["level"]))
        typer.echo("\n".join(explain(unknown)))
    for line in in_words(result["results"], result.get("thresholds", [])):
        typer.echo(line)


def _level(interval: str) -> float | None:
    from calibrant.errors import InputError

    if interval == "none":
        return None
    try:
        level = float(interval)
    except ValueError:
        level = 0
    if not 0 < level < 1:
        raise InputError(f"--interval is a number between 0 and 1, such as 0.95, or none, not {interval}")
    return level
