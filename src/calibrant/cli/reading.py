"""The options that say how images are to be read, which several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

DataOptions = dict[str, Any]
"""How images are to be read, as `load_data` takes it."""

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


def data_options(
    *,
    names: Names = None,
    template: Template = None,
    on_bad_image: OnBadImage = None,
    window: Window = None,
    background: Background = None,
    pixel_limit: PixelLimit = None,
    scenes: Scenes = None,
) -> DataOptions:
    """Turn the options into those of `load_data`; a command has them where `reads_images` puts them."""
    from calibrant.image_options import data_options as read

    return read(
        names=names,
        template=template,
        on_bad_image=on_bad_image,
        window=window,
        background=background,
        pixel_limit=pixel_limit,
        scenes=scenes,
    )


def reads_images(command: Callable[..., None]) -> Callable[..., None]:
    """Put the options of `data_options` in the place of a command's parameter of that name, and hand over the result.

    Args:
        command: has the keyword `data_options`.

    Returns:
        The command as the command line sees it: its help lists the options one by one.
    """
    shared = inspect.signature(data_options, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True)

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        named = {name: given.pop(name) for name in shared}
        command(**given, data_options=data_options(**named))

    seen = [
        option
        for name, parameter in own.parameters.items()
        for option in (shared.values() if name == "data_options" else [parameter])
    ]
    with_options.__signature__ = own.replace(parameters=seen)  # type: ignore[attr-defined]
    return with_options
