"""`calibrant tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer


def tune(
    model: Annotated[str, typer.Argument(help="Such as tiny, ViT-B-32/laion2b_s34b_b79k, or a checkpoint path.")],
    data: Annotated[str, typer.Argument(help="Such as folder:PATH, csv:FILE, emoji or emoji/base.")],
    method: Annotated[str, typer.Option(help="See `calibrant list methods`; or a recipe file.")] = "coop",
    shots: Annotated[Optional[int], typer.Option(min=1, help="Images per class to tune on; default: all.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of shots and splits and of training.")] = 1,
    data_seed: Annotated[Optional[int], typer.Option(help="Seed of shots and splits alone.")] = None,
    train_seed: Annotated[Optional[int], typer.Option(help="Seed of training alone.")] = None,
    output: Annotated[Optional[Path], typer.Option(help="Run folder; default: runs/DATA-METHOD-N.")] = None,
    settings: Annotated[
        Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe.")
    ] = None,
    profile: Annotated[
        Optional[str], typer.Option(help="Settings for a kind of model: published or tiny; default: by the model.")
    ] = None,
    names: Annotated[Optional[Path], typer.Option(help="CSV: folder name, class name, synonyms.")] = None,
    template: Annotated[
        Optional[list[str]], typer.Option(help="Class prompt with {} for the name; may be repeated.")
    ] = None,
    on_bad_image: Annotated[str, typer.Option(help="fail or skip.")] = "fail",
    resume: Annotated[bool, typer.Option("--resume", help="Continue a half-written run.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Never open a network connection.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Tune a model on images, then predict its validation and test images.

    Example: `calibrant tune ViT-B-32/laion2b_s34b_b79k folder:my-images --method coop --shots 16 --output runs/pets`
    """
    from calibrant import tune as run_tuning
    from calibrant.cli import show
    from calibrant.tune import DataRequest, read_settings

    request = DataRequest(data, names=names, templates=template, on_bad_image=on_bad_image)
    run = run_tuning(
        model,
        request,
        method,
        shots=shots,
        seed=seed,
        data_seed=data_seed,
        train_seed=train_seed,
        output=output,
        profile=profile,
        overrides=read_settings(settings or []),
        resume=resume,
        overwrite=overwrite,
        offline=offline,
        progress=not json,
    )
    rows: list[dict[str, Any]] = run.summary()
    if json:
        show.as_json({"run": run.path, "summary": rows})
        return
    show.as_table(rows, title=f"{run.method} on {run.record['data']['name']}")
    typer.echo(f"The run is in {run.path}. Next: calibrant calibrate '{run.path}'; calibrant report '{run.path}'")
