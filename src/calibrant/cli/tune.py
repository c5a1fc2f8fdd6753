"""`calibrant tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibrant.cli.reading import DataOptions, Offline, reads_images


@reads_images
def tune(
    model: Annotated[str, typer.Argument(help="Such as tiny, ViT-B-32/laion2b_s34b_b79k, or a checkpoint path.")],
    data: Annotated[str, typer.Argument(help="Such as folder:PATH, csv:FILE, emoji or emoji/base.")],
    *,
    method: Annotated[str, typer.Option(help="See `calibrant list methods`; or a recipe file.")] = "coop",
    shots: Annotated[int | None, typer.Option(min=1, help="Images per class to tune on; default: all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of shots and splits and of training.")] = 1,
    data_seed: Annotated[int | None, typer.Option(help="Seed of shots and splits alone.")] = None,
    train_seed: Annotated[int | None, typer.Option(help="Seed of training alone.")] = None,
    output: Annotated[Path | None, typer.Option(help="Run folder; default: runs/DATA-METHOD-N.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Settings for a kind of model: published or tiny; default: by the model."),
    ] = None,
    data_options: DataOptions,
    checkpoint: Annotated[Path | None, typer.Option(help="Weights file of a bare architecture.")] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints.")] = 100,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a half-written run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run.")] = False,
    offline: Offline = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Tune a model on images, then predict its validation and test images.

    Example: `calibrant tune ViT-B-32/laion2b_s34b_b79k folder:my-images --method coop --shots 16 --output runs/pets`
    """
    from rich.console import Console

    from calibrant import tune as run_tuning
    from calibrant.cli import show
    from calibrant.measuring.on_screen import tables
    from calibrant.reporting import measures_table
    from calibrant.tune import profile_for, read_settings

    run = run_tuning(
        model,
        data,
        method,
        shots=shots,
        seed=seed,
        data_seed=data_seed,
        train_seed=train_seed,
        output=output,
        profile=profile,
        overrides=read_settings(settings or []),
        data_options=data_options,
        checkpoint=checkpoint,
        save_every=save_every,
        resume=resume,
        overwrite=overwrite,
        offline=offline,
        progress=not json,
    )
    results = run.summary()
    if json:
        show.as_json({"run": run.path, "results": results})
        return
    chosen = profile or profile_for(method, model)
    typer.echo(f"{method}: {chosen} settings" + ("" if profile else " (by the model; --profile names others)"))
    for table in tables(results):
        Console().print(measures_table(*table))
    typer.echo(f"The run is in {run.path}. Next: calibrant calibrate '{run.path}'; calibrant report '{run.path}'")
