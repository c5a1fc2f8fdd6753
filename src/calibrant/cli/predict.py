"""`calibrant predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibrant.cli.reading import DataOptions, Offline, reads_images


@reads_images
def predict(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    data: Annotated[str, typer.Argument(help="Such as emoji/sketch or folder:PATH.")],
    *,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    to: Annotated[Path | None, typer.Option(help="Also write the predictions to this .safetensors file.")] = None,
    data_options: DataOptions,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    offline: Offline = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Predict a data set with a tuned model and store the predictions in the run.

    Images of another folder than the tuned one are read as in tuning, unless said otherwise here. All of them are test
    images, unless the folder has train, val and test folders or the manifest a column split.

    Example: `calibrant predict runs/pets folder:more-pets`
    """
    from calibrant.cli import show
    from calibrant.runs import Run

    opened = Run.load(run)
    stored = opened.predict(
        data,
        split,
        data_options=data_options,
        batch_size=batch_size,
        offline=offline,
        progress=not json,
    )
    if to is not None:
        stored.save(to)
    where = to or opened.predictions_file(data, split)
    result = {"file": where, "split": split, "images": len(stored.logits), "classes": stored.logits.shape[1]}
    if json:
        show.as_json(result)
    else:
        typer.echo(f"{result['images']} {split} images, {result['classes']} classes: {where}")
