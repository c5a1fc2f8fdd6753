"""Progress bars on standard error, only where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress_bar(what: str, total: int, wanted: bool) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs.

    Args:
        what: what is being done, in a word or two.
        total: how many steps there are.
        wanted: False for silence; a bar is also left out where standard error is not a terminal.

    Yields:
        A function to call with the number of steps just done.

    Example:
        >>> with progress_bar("predict", 2, wanted=False) as advance:
        ...     advance(2)
    """
    if not wanted or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda steps: bar.advance(task, steps)
