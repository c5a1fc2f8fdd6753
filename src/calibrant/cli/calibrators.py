"""The table of ``calibrant list calibrators``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_WIDE = 130
_EXPLAINED = (
    "Chain them with plus signs: dac+temperature; only the last may be one of kind probabilities.",
    "argmax: the answers stay the same. order: samples stay in the order of their confidence. labels: needed to fit.",
    "transfers: can be used on classes that it was not fitted on. reads: what it needs besides logits.",
)


def print_calibrators(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print all calibrators as one table, and under it what the table is too narrow for.

    Args:
        rows: what `calibrant.catalogue.rows` gives for ``"calibrators"``.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    wide = console.width >= _WIDE
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("name", no_wrap=True)
    for heading in ("kind", "keeps\nargmax", "keeps\norder", "needs\nlabels", "transfers"):
        table.add_column(heading, no_wrap=True)
    if wide:
        table.add_column("source")
    for row in rows:
        flags = (row[flag] for flag in ("keeps_argmax", "keeps_sample_order", "needs_labels", "transfers"))
        cells = [row["name"], row["kind"], *("yes" if flag else "no" for flag in flags)]
        table.add_row(*cells, *([row["source"]] if wide else []))
    console.print(table)
    for line in _EXPLAINED:
        console.print(line, markup=False)
    for row in rows:
        if row["reads"]:
            console.print(f"{row['name']} reads {', '.join(row['reads'])}.", markup=False)
    if not wide:
        console.print()
        for row in rows:
            if row["source"]:
                console.print(f"{row['name']}: {row['source']}", markup=False)
