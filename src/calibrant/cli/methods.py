"""The table of ``calibrant list methods``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_RAN_ON = {"ViT-B/32 random weights": "B/32 random", "ViT-B/16 weights": "B/16"}
_WIDE = 100
_COLUMNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("method, @version", {"no_wrap": True}),
    ("trains; paper", {"max_width": 40}),
    ("objective, + regularizer,\n~ averaging", {"no_wrap": True}),
    ("new", {"no_wrap": True}),
    ("verified", {"min_width": 9}),  # the longest word
    ("ran on", {"min_width": 6}),
)
_NARROW: tuple[tuple[str, dict[str, Any]], ...] = (
    ("method, @version", {"no_wrap": True}),
    ("trains; paper;\nobjective, + regularizer, ~ averaging", {"max_width": 36}),
    ("new", {"no_wrap": True}),
    ("verified; ran on", {"min_width": 13}),
)
_EXPLAINED = (
    "Add regularizers and averagings to any method: coop+dor. A version: carot@squared. Your own: --method mine.yaml.",
    "+dor: published code has it on coop, cocoop and maple; elsewhere its attachment is inferred.",
    "new: whether what is tuned serves classes that were not tuned on; otherwise the zero-shot text does.",
    "verified: formula (against float64), released code (same numbers on the same input), published result.",
    "ran on: tiny, ViT-B/32 with random weights, ViT-B/16 with trained weights; what is not named was not run.",
)


def print_methods(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print all methods as one table, and under it what holds for all of them.

    Args:
        rows: what `calibrant.catalogue.rows` gives for ``"methods"``.
    """
    from rich.console import Console

    console = Console(highlight=False)
    console.print(methods_table(rows, console.width))
    for line in _EXPLAINED:
        console.print(line, markup=False)
    console.print(f"{', '.join(rows[0]['not_run'])}: written, not run.", markup=False)
    for row in rows:
        if not row["built"]:
            console.print(f"{row['name']}: not built. {row['about']}", markup=False)


def print_remarks(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the papers of methods and what is a reconstruction in them, or, of none, how to see that.

    Args:
        rows: some or none of what `calibrant.catalogue.rows` gives for ``"methods"``.
    """
    from rich.console import Console

    console = Console(highlight=False)
    if rows:
        console.print()
        console.print(remarks_table(rows))
    else:
        console.print("Papers and remarks: calibrant list methods NAME, or --all.", markup=False)


def methods_table(rows: Sequence[Mapping[str, Any]], width: int) -> Table:
    """Arrange the methods that are built, one under another, with their versions.

    Args:
        rows: the methods.
        width: of the terminal, in columns; below 100 some cells stand under others.

    Returns:
        A rich table.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    narrow = width < _WIDE
    for header, options in _NARROW if narrow else _COLUMNS:
        table.add_column(header, **options)
    for row in rows:
        if row["built"]:
            cells = [escape(cell) for cell in _cells(row)]
            table.add_row(*(_stacked(cells) if narrow else cells))
            table.add_section()
    return table


def remarks_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Arrange papers, and what is a reconstruction or attached where no paper attaches it.

    Args:
        rows: the methods.

    Returns:
        A rich table of methods and their remarks.
    """
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("method", no_wrap=True)
    table.add_column("paper; remarks")
    for row in rows:
        paper = [f"{row['paper']['title']}, {row['paper']['year']}, {row['paper']['url']}"] if row["paper"] else []
        for number, remark in enumerate([*paper, *row["remarks"]]):
            table.add_row("" if number else escape(row["name"]), escape(remark))
    return table


def _parts(row: Mapping[str, Any]) -> list[str]:
    parts = [row["objective"] or "-", *(f"+ {name}" for name in row["regularizers"])]
    return [*parts, *(f"~ {name}" for name in row["averaging"])]


def _stacked(cells: Sequence[str]) -> Iterator[str]:
    method, trains, parts, new, verified, ran_on = cells
    yield from (method, f"{trains}\n{parts}", new, f"{verified}\n{ran_on}")


def _cells(row: Mapping[str, Any]) -> Iterator[str]:
    yield "\n".join([row["name"], *(f" @{version}" for version in row["versions"])])
    paper = f"{row['paper']['authors']} {row['paper']['year']}" if row["paper"] else None
    yield "\n".join(filter(None, [row["trains"], paper]))
    yield "\n".join(_parts(row))
    yield "yes" if row["works_for_new_classes"] else "no"
    yield "\n".join(row["verified"]) or "-"
    yield "\n".join(_RAN_ON.get(model, model) for model in row["ran_on"]) or "-"
