"""The tables of docs/which-calibrator.md, from the log of scripts/compare_calibrators.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from calibrant.metrics import Estimate
from compare_methods import BASELINE, SHIFTED

Row = Mapping[str, Any]
SETS = {
    "base": ("base-to-new", ("emoji/base",)),
    "new": ("base-to-new", ("emoji/new",)),
    "union": ("base-to-new", ("emoji",)),
    "ID": ("shift", ("emoji",)),
    "OOD": ("shift", SHIFTED),
}
SHOWN = ("temperature", "dac", "dac+temperature", "cac", "zs-norm", "zero-shot-temperature", "multi-isotonic")
"""The most used ones and those made for new classes; chosen before anything was measured."""


NEAR = 15 * np.log(1.1)
"""Distance of tuned from zero-shot logits where CAC, with its published numbers, turns from more confidence to less."""


class Log:
    """The lines of the log by calibrator, set and method.

    Args:
        lines: of all methods and calibrators.
        calibrators: those that may be in it, in the order of the tables.
        methods: likewise.
    """

    def __init__(self, lines: Iterable[Row], calibrators: Sequence[str], methods: Sequence[str]) -> None:
        self.cells: dict[tuple[str, str, str], Row] = {
            (line["calibrator"], where, line["method"]): row for line in lines for where, row in line["sets"].items()
        }
        there = {name for name, _, _ in self.cells}
        self.calibrators = [name for name in calibrators if name in there and not name.startswith("sensitivity")]
        self.methods = methods

    def of_tuned(self, calibrator: str, where: str) -> list[Row]:
        """The lines of all tuned methods, refusals too."""
        found = (self.cells.get((calibrator, where, method)) for method in self.methods if method != BASELINE)
        return [row for row in found if row is not None]

    def used(self, calibrator: str, where: str) -> list[Row]:
        """The lines of all tuned methods on which the calibrator did not refuse."""
        return [row for row in self.of_tuned(calibrator, where) if "refused" not in row]


def all_tables(lines: Iterable[Row], calibrators: Sequence[str], methods: Sequence[str]) -> dict[str, list[str]]:
    """Make every table.

    Args:
        lines: of the log.
        calibrators: in the order of the tables.
        methods: likewise.

    Returns:
        Mark to Markdown lines.
    """
    log = Log(lines, calibrators, methods)
    return {
        "measured": [measured(log)],
        "best": best(log),
        "verdict": verdict(log),
        "ece": overview(log, ece_cell, log.calibrators),
        "nll": overview(log, nll_cell, log.calibrators),
        "accuracy": accuracy(log),
        "few": few(log),
        "methods-new": by_method(log, "new"),
        "methods-base": by_method(log, "base"),
        "cac": cac_sensitivity(log),
        "dac": dac_sensitivity(log),
        "spread": spread(log),
    }


def markdown(head: Sequence[str], body: Iterable[Sequence[str]]) -> list[str]:
    """Write a Markdown table."""
    first, *others = ("| " + " | ".join(row) + " |" for row in (head, *body))
    return [first, "|" + "---|" * len(head), *others]


def in_words(calibrator: str) -> str:
    """Name a calibrator; what is reconstructed says so."""
    return f"`{calibrator}`" + (" (reconstruction)" if "cac" in calibrator.split("+") else "")


def measured(log: Log) -> str:
    """Say what the tables rest on."""
    tuned, shifted = (len(log.used("none", where)) for where in ("new", "OOD"))
    return f"Tuned methods so far: {tuned} on base, new and union; {shifted} on ID and OOD."


def overview(log: Log, cell: Callable[[Sequence[Row]], str], calibrators: Iterable[str]) -> list[str]:
    """Write a table of calibrators on all sets; "of n" is how many methods a cell stands for, if not all.

    Against none there is nothing to count for none itself.
    """

    def shown(name: str, where: str) -> str:
        rows = log.used(name, where)
        if not rows:
            return "refuses" if log.of_tuned(name, where) else ""
        if name == "none":
            return cell(rows).partition(" (")[0]
        return cell(rows) + (f" of {len(rows)}" if len(rows) < len(log.of_tuned("none", where)) else "")

    return markdown(
        ["calibrator", *SETS],
        ([in_words(name), *(shown(name, where) for where in SETS)] for name in calibrators),
    )


def ece_cell(rows: Sequence[Row]) -> str:
    """Show the median ECE, and how often it falls / rises."""
    return f"{median(rows, 'ece'):.3f} ({counts(rows, 'ece_change')})"


def nll_cell(rows: Sequence[Row]) -> str:
    """Show the median log loss, or how often it is infinite."""
    infinite = sum(row["nll"] is None for row in rows)
    shown = f"infinite in {infinite}" if infinite else f"{median(rows, 'nll'):.3f}"
    return f"{shown} ({counts(rows, 'nll_change')})"


def accuracy_cell(rows: Sequence[Row]) -> str:
    """Show the median change in points, and how often it falls / rises; a line is silent where no answer changes."""
    change = np.median([row.get("accuracy_change", [0.0])[0] for row in rows])
    return f"{100 * change:+.1f} ({counts(rows, 'accuracy_change')})"


def counts(rows: Sequence[Row], key: str) -> str:
    """Count on how many methods a change lies below 0, and above, with its whole interval."""
    changes = [row[key] for row in rows if key in row]
    return f"{sum(high < 0 for _, _, high in changes)} / {sum(low > 0 for _, low, _ in changes)}"


def median(rows: Sequence[Row], key: str) -> float:
    """Take the middle of a value over methods; a mean would be made by one or two that lie far off."""
    return float(np.median([row[key] for row in rows]))


def best(log: Log) -> list[str]:
    """Write which calibrators have the lowest medians on each set, of those that refused no method."""

    def lowest(where: str, key: str) -> str:
        many, medians = len(log.used("none", where)), {}
        for name in log.calibrators:
            rows = log.used(name, where)
            if rows and len(rows) == many and all(row[key] is not None for row in rows):
                medians[name] = median(rows, key)
        first = sorted(medians, key=lambda name: medians[name])[:3]
        return ", ".join(f"{in_words(name)} {medians[name]:.3f}" for name in first)

    body = []
    for where in SETS:
        if rows := log.used("none", where):
            before = [f"{median(rows, 'ece'):.3f}", f"{median(rows, 'floor'):.3f}", f"{median(rows, 'gap'):+.3f}"]
            body.append([where, *before, lowest(where, "ece"), f"{median(rows, 'nll'):.3f}", lowest(where, "nll")])
    head = ["set", "ECE of `none`", "noise floor", "confidence minus accuracy", "lowest median ECE"]
    return markdown([*head, "log loss of `none`", "lowest median log loss"], body)


def accuracy(log: Log) -> list[str]:
    """Write what calibrators that change answers do to the accuracy, in points."""

    def changes(name: str) -> bool:
        return any("accuracy_change" in row for where in SETS for row in log.used(name, where))

    return overview(log, accuracy_cell, filter(changes, log.calibrators))


def median_change(rows: Sequence[Row], key: str) -> Estimate:
    """Take the middle of a change over methods, and of the ends of its intervals."""
    return Estimate(*np.median([row[key] for row in rows], axis=0))


def few(log: Log) -> list[str]:
    """Write the median change of the ECE."""

    def shown(name: str, where: str) -> str:
        if not (rows := log.used(name, where)):
            return ""
        change = median_change(rows, "ece_change")
        return f"{change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f})"

    body = ([in_words(name), *(shown(name, where) for where in SETS)] for name in SHOWN if name in log.calibrators)
    return markdown(["calibrator", *SETS], body)


def verdict(log: Log) -> list[str]:
    """Write which calibrators help, and which hurt, more than half of the methods beyond the interval."""

    def names(where: str, key: str, sign: int) -> str:
        many, found = len(log.used("none", where)), []
        for name in log.calibrators:
            # a log loss without a change is infinite
            signs = [Estimate(*row[key]).sign if key in row else 1 for row in log.used(name, where)]
            if 2 * signs.count(sign) > many:
                found.append(in_words(name))
        return ", ".join(found) or "–"

    body = [
        [where, *(names(where, key, sign) for key in ("ece_change", "nll_change") for sign in (-1, 1))]
        for where in SETS
        if log.used("none", where)
    ]
    return markdown(["set", "ECE lower", "ECE higher", "log loss lower", "log loss higher"], body)


def by_method(log: Log, where: str) -> list[str]:
    """Write the ECE of every method on one set; an arrow is a change beyond its interval."""

    def shown(name: str, method: str) -> str:
        row = log.cells.get((name, where, method))
        if row is None or "refused" in row:
            return "" if row is None else "refuses"
        _, low, high = row["ece_change"]
        return f"{row['ece']:.3f}" + (" ↓" if high < 0 else " ↑" if low > 0 else "")

    columns = [name for name in ("none", *SHOWN) if name in log.calibrators]
    return markdown(
        ["method", *map(in_words, columns)],
        (
            [f"`{method}`", *(shown(name, method) for name in columns)]
            for method in log.methods
            if ("none", where, method) in log.cells
        ),
    )


def cac_sensitivity(log: Log) -> list[str]:
    """Write the median ECE of CAC, the reconstruction, by set, group of methods and k; a column for every alpha."""
    groups = {}
    for where in SETS:
        rows = log.used("sensitivity of cac", where)
        groups[where, "near"] = [row for row in rows if row["distance"] < NEAR]
        groups[where, "far"] = [row for row in rows if row["distance"] >= NEAR]
    settings = [setting.split() for setting in next((found[0]["ece"] for found in groups.values() if found), ())]
    ks, alphas = ([*dict.fromkeys(setting[at] for setting in settings)] for at in (0, 1))
    body = [
        [where, f"{group}, {len(found)}", f"{median(found, 'before'):.3f}", k]
        + [f"{np.median([row['ece'][f'{k} {alpha}'] for row in found]):.3f}" for alpha in alphas]
        for (where, group), found in groups.items()
        if found
        for k in ks
    ]
    return markdown(["set", "methods", "without", "k", *(f"alpha = {alpha}" for alpha in alphas)], body)


def dac_sensitivity(log: Log) -> list[str]:
    """Write the median ECE of DAC, a row for every set, a column for every K."""
    rows = {where: log.used("sensitivity of dac", where) for where in SETS}
    ks = [*next((found[0]["ece"] for found in rows.values() if found), ())]
    body = [
        [where, f"{median(found, 'before'):.3f}", *(f"{np.median([row['ece'][k] for row in found]):.3f}" for k in ks)]
        for where, found in rows.items()
        if found
    ]
    return markdown(["set", "without", *(f"K = {k}" for k in ks)], body)


def spread(log: Log) -> list[str]:
    """Write how far the best and the worst setting of one method lie apart, median and largest over methods."""

    def shown(name: str, where: str) -> str:
        apart = [np.ptp([*row["ece"].values()]) for row in log.used(f"sensitivity of {name}", where)]
        return f"{np.median(apart):.3f}, at most {max(apart):.3f}" if apart else ""

    head = ["set", "CAC (reconstruction), k and alpha", "DAC, K"]
    body = [[where, shown("cac", where), shown("dac", where)] for where in SETS]
    return markdown(head, [row for row in body if any(row[1:])])
