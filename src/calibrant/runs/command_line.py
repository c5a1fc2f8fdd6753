"""The command line that makes a run again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_DATA_OPTIONS = {
    "names": "--names",
    "templates": "--template",
    "on_bad_image": "--on-bad-image",
    "window": "--window",
    "background": "--background",
    "pixel_limit": "--pixel-limit",
    "masks": "--masks",
    "on_bad_mask": "--on-bad-mask",
    "mask_grid": "--mask-grid",
    "scenes": "--scenes",
}


def tune_command(
    model: str,
    data: str,
    data_options: Mapping[str, Any] | None,
    options: Mapping[str, Any],
    overrides: Mapping[str, Any],
    output: Path,
) -> str | None:
    """Write the command line of `calibrant tune` with everything that was given.

    Args:
        model: a name that `load_model` knows.
        data: a name that `load_data` knows.
        data_options: with which it was opened; None if they are not known.
        options: long option without hyphens to value, such as ``{"data_seed": 1}``; None stands for not given.
        overrides: settings of the recipe by dotted place.
        output: the run folder.

    Returns:
        One line for a shell; None if no command line can say it, since a data set was opened in Python, with options
        that are not known or a seed of its own.

    Example:
        >>> given = {"method": "coop", "data_seed": 1}
        >>> tune_command("tiny", "folder:a b", {"window": (0, 4095)}, given, {"solver.steps": 9}, Path("a"))
        "calibrant tune tiny 'folder:a b' --method coop --data-seed 1 --window 0,4095 --set solver.steps=9 --output a"
    """
    seed = options["data_seed"]
    if data_options is None or data_options.get("seed", seed) != seed:
        return None
    words = ["calibrant", "tune", model, data]
    for name, value in options.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    for name, option in _DATA_OPTIONS.items():
        for value in _values(data_options.get(name), repeat=name == "templates"):
            words += [option, value]
    for place, value in overrides.items():
        words += ["--set", f"{place}={json.dumps(value, ensure_ascii=False)}"]
    return shlex.join([*words, "--output", str(output)])


def calibrate_command(run: Path, method: str, on: str, shifted: Sequence[str | Path] = ()) -> str:
    """Write the command line of `calibrant calibrate` for a run.

    Args:
        run: its folder.
        method: the calibrator.
        on: the split that it is fitted on.
        shifted: files of predictions on shifted images.

    Returns:
        One line for a shell.

    Example:
        >>> calibrate_command(Path("runs/a b"), "temperature", "validation")
        "calibrant calibrate 'runs/a b' --method temperature"
    """
    words = ["calibrant", "calibrate", str(run), "--method", method]
    words += [] if on == "validation" else ["--on", on]
    return shlex.join([*words, *(word for one in shifted for word in ("--shifted", str(one)))])


def _values(value: Any, *, repeat: bool) -> Iterator[str]:
    """How often an option has to be given, and with what."""
    if value is None:
        return
    several = isinstance(value, (list, tuple))
    if repeat:
        yield from map(str, value) if several else [str(value)]
    else:
        yield ",".join(map(str, value)) if several else str(value)
