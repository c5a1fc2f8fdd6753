"""`calibrant sweep`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibrant.cli.reading import Offline, Scenes, data_options


def sweep(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    data: Annotated[str | None, typer.Argument(help="Such as emoji/sketch; default: what it was tuned on.")] = None,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "validation",
    alpha: Annotated[
        list[float] | None, typer.Option(help="From 0 (zero-shot) to 1 (tuned); repeat it. Default: tenths.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Also write the predictions of every alpha into this folder.")] = None,
    scenes: Scenes = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    offline: Offline = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Measure a run at points between the zero-shot and the tuned weights (WiSE-FT), without training anew.

    Choose alpha on validation images; `calibrant tune ... --method wise-ft --set averaging.wise_ft.alpha=0.3` keeps it.

    Example: `calibrant sweep runs/pets --alpha 0.25 --alpha 0.5 --alpha 0.75`
    """
    from rich.console import Console

    from calibrant.calibrate import NONE
    from calibrant.cli import show
    from calibrant.measuring import measure
    from calibrant.measuring.on_screen import SHOWN
    from calibrant.reporting import measures_table
    from calibrant.runs import Run
    from calibrant.sweep import ALPHAS
    from calibrant.sweep import sweep as points

    opened, results = Run.load(run), []
    made = points(
        opened,
        data,
        split,
        alpha or ALPHAS,
        data_options=data_options(scenes=scenes),
        batch_size=batch_size,
        offline=offline,
        progress=not json,
    )
    for share, stored in made:
        if to is not None:
            stored.save(to / f"alpha-{share:g}.safetensors")
        results += [{"alpha": share, **one} for one in measure(stored, {NONE: None})]
    if json:
        show.as_json({"run": opened.path, "results": results})
        return
    title = f"{results[0]['data']} {split}, {results[0]['n']} images"
    Console().print(measures_table(title, results, ("alpha",), SHOWN))
