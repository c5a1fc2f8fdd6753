"""How commands print: tables for people, JSON for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import typer

NAME = 24  # characters; longer names may be broken


def as_json(value: Any) -> None:
    """Print one JSON value on standard output; numbers that JSON does not know become null."""
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def as_table(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> None:
    """Print rows with the same keys as a table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    names = list(rows[0]) if rows else []
    for name in names:
        numeric = all(isinstance(row.get(name), (int, float)) for row in rows)
        justify: Literal["left", "right"] = "right" if numeric else "left"
        # a name is what people copy, unless it leaves no room for anything else
        whole = name == "name" and max(len(str(row[name])) for row in rows) <= NAME
        table.add_column(escape(name.replace("_", " ")), justify=justify, overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*(escape(_cell(row.get(name))) for name in names))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.4g}"
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return ", ".join(str(item) for item in value)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)
