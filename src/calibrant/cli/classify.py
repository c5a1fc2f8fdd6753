"""`calibrant classify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from calibrant.cli.reading import Offline


def classify(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    images: Annotated[list[Path], typer.Argument(help="Folders and files.")],
    to: Annotated[Path, typer.Option(help="Table to write: .csv, .jsonl or .parquet.")],
    classes: Annotated[str | None, typer.Option(help='Other classes to choose from: "cat, dog".')] = None,
    add_classes: Annotated[str | None, typer.Option(help='Classes to add to those tuned: "fox".')] = None,
    calibrator: Annotated[
        str | None, typer.Option(help="A calibrator file, one of the run's, or none; default: the run's.")
    ] = None,
    abstain: Annotated[
        float | None, typer.Option(metavar="RISK", help="Be unsure rather than wrong in more than this share: 0.05.")
    ] = None,
    costs: Annotated[
        Path | None, typer.Option(help="CSV file of what answers cost: true,CLASS,...,ask; decide by it.")
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(metavar="CLASS=SHARE", help="How frequent classes are here: defect=0.02, or estimate."),
    ] = None,
    none_of_these: Annotated[
        str | None,
        typer.Option(metavar="SCORE", help="Say so of images of no class: by mcm, energy, nearness or nouns."),
    ] = None,
    keep_known: Annotated[
        float, typer.Option(metavar="SHARE", help="Images of the classes that --none-of-these is to keep.")
    ] = 0.95,
    explain: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw what speaks for each answer: a picture per image.")
    ] = None,
    explainer: Annotated[
        str | None, typer.Option(help="How, see `calibrant list explainers`; default: attention-gradient.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 64,
    offline: Offline = False,
    json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Name what is in images, with a confidence that was calibrated.

    Images that are already in the table are not done again. A file that cannot be read gets a row with the reason,
    and the exit code is 1 at the end.

    With --abstain RISK a column says answer or unsure: no more than that share of the answers is wrong, with 95 %
    certainty, as tested on validation images. With --costs it says answer or ask, whichever is expected to be cheaper.
    With --none-of-these it says none of these of images that look unlike the classes. With --prior confidence is
    corrected for other class frequencies than those of the validation images, before any threshold. With --explain
    there is a picture of every image that shows where an explainer sees the evidence for the answer.

    Example: `calibrant classify runs/pets new-photos --to results.csv --add-classes "fox, wolf"`
    """
    from calibrant.classify import classify as classify_images
    from calibrant.cli import show
    from calibrant.rationality.way import NO_PROOF, Way

    counts = classify_images(
        run,
        images,
        to,
        classes=classes,
        add_classes=add_classes,
        calibrator=calibrator,
        abstain=abstain,
        costs=costs,
        prior=prior,
        none_of_these=none_of_these,
        keep_known=keep_known,
        explain=explain,
        way=None if explainer is None else Way(explainer),
        batch_size=batch_size,
        offline=offline,
        progress=not json,
    )
    if json:
        show.as_json(counts)
    else:
        for said in ("prior", "evidence"):
            if said in counts:
                typer.echo(counts[said]["says"])
        verdicts = ("unsure", "ask", "none of these")
        handed_on = [f" ({counts[verdict]} {verdict})" for verdict in verdicts if verdict in counts]
        typer.echo(
            f"{counts['classified']} images classified{''.join(handed_on)}, "
            f"{counts['already_there']} were already in {to}, {counts['unreadable']} could not be read"
        )
        if "overlays" in counts:
            typer.echo(f"The pictures are in {counts['overlays']}. {NO_PROOF}")
        if "first_unreadable" in counts:
            typer.echo(f"The first that could not be read: {counts['first_unreadable']}", err=True)
    if counts["unreadable"]:
        raise typer.Exit(1)
