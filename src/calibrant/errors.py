"""What Calibrant says when something it was given cannot be used."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class InputError(ValueError):
    """Something the user gave is wrong; the message is one line that names the file, field or class and the cure."""


class MissingExtra(ImportError):
    """A package that only an optional part of Calibrant needs is not installed."""


class CalibrantWarning(UserWarning):
    """Something works but is probably not what the user wants."""


def unknown(kind: str, name: str, options: Iterable[str]) -> InputError:
    """Build the error for a name that does not exist, with the nearest one that does, or else with all that do.

    Args:
        kind: what was looked for, such as ``"method"``.
        name: what the user wrote.
        options: the valid names.

    Returns:
        An `InputError`, to be raised by the caller.

    Example:
        >>> str(unknown("method", "coup", ["coop", "flyp"]))
        "unknown method 'coup'; did you mean 'coop'?"
        >>> str(unknown("method", "magic", ["coop", "flyp"]))
        "unknown method 'magic'; known: coop, flyp"
    """
    known = sorted(options)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return InputError(f"unknown {kind} '{name}'; did you mean '{near[0]}'?")
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    return InputError(f"unknown {kind} '{name}'; known: {shown}")


def require(module: str, extra: str) -> ModuleType:
    """Import a module that an extra brings, or say which extra to install.

    Args:
        module: the name of the module, such as ``"torch"``.
        extra: the extra of Calibrant that installs it, such as ``"clip"``.

    Returns:
        The module.

    Raises:
        MissingExtra: if the module is not installed.

    Example:
        >>> require("json", "clip").__name__
        'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise MissingExtra(f"this needs {module}, which is not installed: pip install 'calibrant[{extra}]'") from None
