"""How images are to be read, as it is written on a command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from calibrant.errors import InputError


def data_options(
    *,
    names: Path | None = None,
    template: Sequence[str] | None = None,
    on_bad_image: str | None = None,
    window: str | None = None,
    background: str | None = None,
    pixel_limit: int | None = None,
    scenes: int | None = None,
) -> dict[str, Any]:
    """Turn options of a command into those of `load_data`.

    Args:
        names: CSV file with the columns folder,words.
        template: class prompts.
        on_bad_image: ``"fail"`` or ``"skip"``.
        window: two numbers with a comma.
        background: three whole numbers with commas.
        pixel_limit: most pixels of an image.
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
        "scenes": scenes,
    }
    return {name: value for name, value in options.items() if value is not None}


def _numbers(option: str, form: str, text: str, kind: type[float] | type[int]) -> tuple[float, ...]:
    parts = text.split(",")
    try:
        numbers = tuple(kind(part) for part in parts)
    except ValueError:
        numbers = ()
    if len(numbers) != form.count(",") + 1:
        raise InputError(f"{option} takes {form}, not '{text}'")
    return numbers
