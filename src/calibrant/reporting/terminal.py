"""The table of measures for the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from calibrant.metrics import Estimate
from calibrant.reporting.formats import ends, number
from calibrant.reporting.rows import MEASURES, Measure

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = ("accuracy", "ece", "nll")
FLOOR = "Floor: the ECE that a perfectly calibrated model would show on as many images"
P_VALUE = "; under it how often chance alone gives it at least this ECE."
HEADINGS = {
    "ace": "ACE",
    "mce": "MCE",
    "classwise_ece": "class-wise\nECE",
    "macro_f1": "macro\nF1",
    "auroc": "AUROC",
    "fpr95": "FPR@95",
    "aurc": "AURC",
    "e_aurc": "E-AURC",
    "piece": "PIECE",
    "ppv": "PPV",
    "npv": "NPV",
    "class_auroc": "class\nAUROC",
    "class_auprc": "class\nAUPRC",
    "ece_noise_floor": "floor",
}
SHARES = {"balanced_accuracy", "macro_f1", "fpr95", "sensitivity", "specificity", "ppv", "npv", "signed_gap", "passing"}
SHARES |= {"PT", "IR", "RW", "valid"}


def measures_table(
    title: str,
    rows: Sequence[Mapping[str, Any]],
    about: Sequence[str],
    measures: Sequence[str] = SHOWN,
    level: float | None = 0.95,
) -> Table:
    """Arrange measured sets, methods or subgroups as a table.

    Args:
        title: stands above the table.
        rows: what each line is about, and under ``measures`` what `calibrant.metrics.summary_with_intervals` gave,
            such as the results of `calibrant.measuring.measure`.
        about: the keys of a row that say what it is about, such as ``("data", "method", "calibrator")``; what the
            first repeats is written once, what no row has is left out.
        measures: keys of the measures to show.
        level: confidence of the intervals; None for none.

    Returns:
        A rich table: value and interval per measure, the noise floor and the p-value beside the calibration error.
    """
    from rich import box
    from rich.table import Table

    about = [key for key in about if any(row.get(key) not in (None, "") for row in rows)]
    floor = "ece" in measures and any("ece_noise_floor" in row["measures"] for row in rows)
    p_value = floor and any("p_value" in row["measures"].get("ece", {}) for row in rows)
    table = Table(
        title=_text(title),
        title_justify="left",
        caption=_caption(level, floor, p_value),
        caption_justify="left",
        box=box.SIMPLE,
        pad_edge=False,
        padding=0,  # the columns of the demo just fit into a terminal of 80
    )
    for key in about:
        numeric = all(isinstance(row.get(key), int) for row in rows)
        table.add_column(_text(key.replace("_", " ")), justify="right" if numeric else "left", overflow="fold")
    known = {measure.key: measure for measure in MEASURES}
    chosen = [known.get(key) or _measure(key) for key in measures]
    for measure in chosen:
        table.add_column(measure.heading, justify="right", no_wrap=True)
        if measure.key == "ece" and floor:
            table.add_column("floor", justify="right", no_wrap=True)
    previous = None
    for row in rows:
        first, *others = (_text(row.get(key, "")) for key in about)
        if previous is not None and first != previous and others:
            table.add_section()
        table.add_row("" if first == previous else first, *others, *_cells(row["measures"], chosen, level, floor))
        previous = first if others else None
    return table


def captions_once(tables: Iterable[Table]) -> Iterator[Table]:
    """Leave out what is said under a table that was said under one before it.

    Args:
        tables: as `measures_table` makes them, in the order in which they are printed.

    Yields:
        The same tables.
    """
    said: list[str] = []
    for table in tables:
        caption = str(table.caption or "")
        if any(one.startswith(caption.rstrip(".")) for one in said):
            table.caption = None
        said.append(caption)
        yield table


def _text(value: Any) -> str:
    from rich.markup import escape

    return escape(str(value))


def _caption(level: float | None, floor: bool, p_value: bool) -> str | None:
    said = [] if level is None else [f"Under each value: its {100 * level:g} % interval."]
    if floor:
        said.append(FLOOR + (P_VALUE if p_value else "."))
    return " ".join(said) or None


def _measure(key: str) -> Measure:
    return Measure(key, HEADINGS.get(key, key.replace("_", "\n")), key in SHARES, "")


def _cells(measured: Mapping[str, Any], chosen: Sequence[Measure], level: float | None, floor: bool) -> list[str]:
    cells = []
    for measure in chosen:
        one = measured.get(measure.key)
        cells.append("–" if one is None else _cell(one, measure, level))
        if measure.key == "ece" and floor:
            limit = number(measured["ece_noise_floor"]["value"], share=False)
            cells.append(f"{limit}\n{_chance(one['p_value'])}" if one and "p_value" in one else limit)
    return cells


def _cell(one: Mapping[str, Any], measure: Measure, level: float | None) -> str:
    value = "–" if math.isnan(one["value"]) else number(one["value"], measure.share)
    return value if level is None else f"{value}\n{ends(Estimate.of(one), measure.share)}"


def _chance(p: float) -> str:
    """Write a p-value in five characters, the width of its column."""
    return "p<.01" if p < 0.01 else "p>.99" if p > 0.99 else f"p={p:.2f}".replace("0.", ".")
