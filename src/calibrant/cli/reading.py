"""The options that say how images are to be read, which several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Names = Annotated[
    Path | None, typer.Option(help="CSV file with the columns folder,words; synonyms are separated by |.")
]
Template = Annotated[list[str] | None, typer.Option(help="Class prompt with {} for the name; may be repeated.")]
OnBadImage = Annotated[str | None, typer.Option(help="fail or skip.")]
Window = Annotated[
    str | None, typer.Option(metavar="LOW,HIGH", help="Values of 16-bit and float greyscale that are black and white.")
]
Background = Annotated[str | None, typer.Option(metavar="R,G,B", help="Colour behind transparent pixels.")]
PixelLimit = Annotated[int | None, typer.Option(min=1, help="Most pixels that an image may have.")]
Scenes = Annotated[int | None, typer.Option(min=1, help="Most validation and test scenes; for emoji only.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never open a network connection.")]
