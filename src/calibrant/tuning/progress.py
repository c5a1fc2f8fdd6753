"""The progress bar of training."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any


class Bar:
    """A progress bar on the terminal, with the loss terms by name; silent where there is no terminal.

    Args:
        total: number of steps.
        start: steps that are done already.
        wanted: whether to show it.
    """

    def __init__(self, total: int, start: int, wanted: bool) -> None:
        self._progress: Any = None
        if wanted and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("tuning"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[terms]}"),
            )
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task("tuning", total=total, completed=start, terms="")

    def __enter__(self) -> Bar:
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, row: dict[str, Any], names: list[str]) -> None:
        """Show that a step is done.

        Args:
            row: what the log gets.
            names: of the loss terms.
        """
        if self._progress is not None:
            terms = "  ".join(f"{name} {row['terms'][name]:.3f}" for name in names)
            self._progress.update(self._task, advance=1, terms=terms)
