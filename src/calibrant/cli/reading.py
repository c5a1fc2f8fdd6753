"""The options that say how images are to be read, which several commands share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from calibrant.errors import InputError

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
Masks = Annotated[
    str | None,
    typer.Option(
        metavar="LAYOUT:PATH", help="Object masks: coco:FILE, voc:FOLDER, cub:FOLDER, imagenet:FILE or FOLDER; or none."
    ),
]
OnBadMask = Annotated[str | None, typer.Option(help="Images whose mask is missing or cannot be used: fail or skip.")]
MaskGrid = Annotated[
    str | None, typer.Option(help="Pixels that masks refer to where EXIF turns an image: stored or upright.")
]
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
    masks: Masks = None,
    on_bad_mask: OnBadMask = None,
    mask_grid: MaskGrid = None,
    scenes: Scenes = None,
) -> DataOptions:
    """Turn the options into those of `load_data`; a command has them where `reads_images` puts them.

    Args:
        names: CSV file with the columns folder,words.
        template: class prompts.
        on_bad_image: ``"fail"`` or ``"skip"``.
        window: two numbers with a comma.
        background: three whole numbers with commas.
        pixel_limit: most pixels of an image.
        masks: where the object masks are.
        on_bad_mask: ``"fail"`` or ``"skip"``.
        mask_grid: ``"stored"`` or ``"upright"``.
        scenes: most scenes of an emoji set.

    Returns:
        What was given.

    Raises:
        InputError: if window or background is not written as numbers with commas.

    Example:
        >>> data_options(window="0,4095", template=["an X-ray showing {}."])
        {'templates': ['an X-ray showing {}.'], 'window': (0.0, 4095.0)}
    """
    options = {
        "names": names,
        "templates": list(template) if template else None,
        "on_bad_image": on_bad_image,
        "window": None if window is None else _numbers("--window", "LOW,HIGH", window, float),
        "background": None if background is None else _numbers("--background", "R,G,B", background, int),
        "pixel_limit": pixel_limit,
        "masks": masks,
        "on_bad_mask": on_bad_mask,
        "mask_grid": mask_grid,
        "scenes": scenes,
    }
    return {name: value for name, value in options.items() if value is not None}


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


def _numbers(option: str, form: str, text: str, kind: type[float] | type[int]) -> tuple[float, ...]:
    parts = text.split(",")
    try:
        numbers = tuple(kind(part) for part in parts)
    except ValueError:
        numbers = ()
    if len(numbers) != form.count(",") + 1:
        raise InputError(f"{option} takes {form}, not '{text}'")
    return numbers
