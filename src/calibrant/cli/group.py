"""What all commands share: errors and warnings of one line, and exit codes that mean something.

0: done. 1: it failed while running (or, for `classify`, some files could not be read). 2: something given is wrong.
130: stopped with Ctrl-C.
"""

from __future__ import annotations

import errno
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from typer.core import TyperGroup
from typer.exceptions import TyperException

from calibrant.errors import CalibrantWarning, InputError, MissingExtra

_MACHINE_AT_FAULT = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}


class Commands(TyperGroup):
    """The group of all commands; ``--debug`` anywhere on the line shows the traceback of an error."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in words
        words = [word for word in words if word != "--debug"]
        with _plain_warnings():
            try:
                code = super().main(words, prog_name or "calibrant", complete_var, False, windows_expand_args, **extra)
            except Exception as error:
                if debug:
                    raise
                _stop(_message(error), exit_code(error))
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            _stop(str(stop) or "stopped", 130)


def exit_code(error: BaseException) -> int:
    """Tell whether what was given is wrong (2) or the work failed (1)."""
    if isinstance(error, TyperException):
        return int(error.exit_code)
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _MACHINE_AT_FAULT:
        return 1
    return 2 if isinstance(error, InputError) else 1


def _message(error: BaseException) -> str:
    if isinstance(error, TyperException):
        context = getattr(error, "ctx", None)
        if not error.format_message():  # the help was printed instead
            return ""
        where = f"; see {context.command_path} --help" if context is not None else ""
        return " ".join(error.format_message().split()).rstrip(".") + where
    text = " ".join(str(error).split())
    if isinstance(error, (InputError, MissingExtra)):
        return text
    return f"{type(error).__name__}: {text} (add --debug to see where)"


def _stop(message: str, code: int) -> NoReturn:
    if message:
        print(f"calibrant: {message}", file=sys.stderr)
    sys.exit(code)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show our own warnings as one line each; what other packages deprecate is not the user's concern."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if issubclass(category, CalibrantWarning):
            print(f"calibrant: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default", CalibrantWarning)
        warnings.showwarning = show
        yield
