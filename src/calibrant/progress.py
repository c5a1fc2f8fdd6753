"""Progress bars, and a line when something begins, on standard error, only where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

_SILENT: ContextVar[bool] = ContextVar("silent", default=False)


class Advance(Protocol):
    """Called with the number of steps just done, and with what to say behind the bar."""

    def __call__(self, steps: int, said: str = "") -> None: ...


@contextmanager
def progress_bar(what: str, total: int, wanted: bool, done: int = 0) -> Iterator[Advance]:
    """Show a bar while the block runs.

    Args:
        what: what is being done, in a word or two.
        total: how many steps there are.
        wanted: False for silence; a bar is also left out where standard error is not a terminal.
        done: steps that are done already.

    Yields:
        A function to call with the number of steps just done, and with what to say behind the bar.

    Example:
        >>> with progress_bar("predict", 2, wanted=False) as advance:
        ...     advance(2)
    """
    if not wanted or _SILENT.get() or not sys.stderr.isatty():
        yield _silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done, said="")

        def advance(steps: int, said: str = "") -> None:
            bar.update(task, advance=steps, said=said)

        yield advance


def announce(what: str, wanted: bool) -> None:
    """Say at once what begins, before anything slow is imported or read.

    Args:
        what: one line.
        wanted: False for silence; it is also left out where standard error is not a terminal, as bars are.

    Example:
        >>> announce("reading folder:pets", wanted=False)
    """
    if wanted and not _SILENT.get() and sys.stderr.isatty():
        print(what, file=sys.stderr, flush=True)


@contextmanager
def silent_unless(wanted: bool) -> Iterator[None]:
    """Show no bar while the block runs where none is wanted, whoever in it asks for one.

    For what is made deep inside a call, such as a regularizer, which is not told of the caller's wish.

    Args:
        wanted: False for silence; True changes nothing.

    Example:
        >>> with silent_unless(False), progress_bar("predict", 2, wanted=True) as advance:
        ...     advance(2)
    """
    before = _SILENT.set(_SILENT.get() or not wanted)
    try:
        yield
    finally:
        _SILENT.reset(before)


def _silent(steps: int, said: str = "") -> None:
    """Show nothing."""
