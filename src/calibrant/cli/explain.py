"""`calibrant explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibrant.cli.reading import DataOptions, Offline, reads_images


@reads_images
def explain(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    *,
    data: Annotated[str | None, typer.Option(help="Data set to explain; default: the one that was tuned on.")] = None,
    split: Annotated[str, typer.Option(help="Split to explain.")] = "test",
    data_options: DataOptions,
    method: Annotated[str, typer.Option(help="Explainer, see `calibrant list explainers`.")] = "attention-gradient",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a parameter of the explainer.")
    ] = None,
    target: Annotated[str, typer.Option(help="What maps explain: label, or prediction as in use.")] = "label",
    score: Annotated[
        str, typer.Option(help="Number that is explained: head (the model's own logit), cosine or margin.")
    ] = "head",
    layers: Annotated[str, typer.Option(metavar="LAYERS", help="Attention layers: last, all or FIRST,END.")] = "last",
    images: Annotated[int | None, typer.Option(min=1, help="Explain so many images only, drawn at random.")] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the relevance on the object from which evidence is valid.")
    ] = 0.5,
    right_reason: Annotated[
        bool,
        typer.Option(
            "--right-reason",
            help="Learn on validation images with masks how sure to be that an answer is right for the right reason.",
        ),
    ] = False,
    sanity: Annotated[
        int | None,
        typer.Option(min=2, metavar="N", help="Check on N images whether the explainer deserves belief here."),
    ] = None,
    review: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Write a page on which people judge N heat maps.")
    ] = None,
    judgements: Annotated[list[Path] | None, typer.Option(help="File that the page saved; may be repeated.")] = None,
    allow_seen: Annotated[bool, typer.Option("--allow-seen", help="Explain images that were tuned on, too.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 32,
    offline: Offline = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Say whether answers are right for the right reason: heat maps, and whether they lie on the object.

    Where images have masks of the objects (`emoji`, a manifest with boxes, polygons or masks, or --masks), Calibrant
    measures it, for the tuned and the zero-shot model. Without masks people can look: --review 100 writes a page for
    that, and --judgements FILE reads what they said. Everything is kept in the run; `calibrant report` shows it.

    Example: `calibrant explain runs/pets --masks voc:pets/Annotations`, or `calibrant explain runs/pets --review 100`
    """
    from rich.console import Console

    from calibrant.cli import show
    from calibrant.explain import explain as explain_run
    from calibrant.explaining import on_screen
    from calibrant.rationality.way import Way, read_layers
    from calibrant.reporting import measures_table
    from calibrant.tune import read_settings

    way = Way(method, read_settings(settings or []), target, score, read_layers(layers))  # type: ignore[arg-type]
    result = explain_run(
        run,
        data=data,
        data_options=data_options,
        split=split,
        way=way,
        images=images,
        threshold=threshold,
        right_reason=right_reason,
        sanity=sanity,
        review=review,
        judgements=judgements or (),
        allow_seen=allow_seen,
        batch_size=batch_size,
        offline=offline,
        progress=not json,
    )
    if json:
        show.as_json(result)
        return
    if result["masks"]:
        title = f"{result['method']} on {result['data']}, {result['split']}, {method}: {result['n']} images"
        Console().print(measures_table(title, on_screen.rows(result), ("model",), on_screen.SHOWN))
        typer.echo(on_screen.COLUMNS)
    for line in on_screen.lines(result):
        typer.echo(line)
