"""`calibrant calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibrant.cli.reading import Offline


def calibrate(
    source: Annotated[Path, typer.Argument(help="Folder of a run, or a file of predictions.")],
    method: Annotated[
        str, typer.Option(help="See `calibrant list calibrators`; names with + between them make a chain.")
    ] = "temperature",
    on: Annotated[str, typer.Option(help="Split of the run to fit on.")] = "validation",
    shifted: Annotated[
        list[Path] | None, typer.Option(help="Predictions on shifted images, which ts-p learns from; may be repeated.")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Where to write the calibrator; default: in the run.")] = None,
    offline: Offline = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fit a calibrator on held-out predictions.

    Example: `calibrant calibrate runs/pets --method temperature`, or `--method dac+temperature` for new classes
    """
    from calibrant.calibrate import calibrate as fit
    from calibrant.cli import show

    result = fit(source, method, on=on, shifted=shifted or (), to=to, offline=offline)
    if json:
        show.as_json(result)
    else:
        show.as_table([{"what": name.replace("_", " "), "value": value} for name, value in result.items()])
