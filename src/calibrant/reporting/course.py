"""How a model changed while it was tuned: a small figure of lines for what the log says every tenth of the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibrant.reporting.svg import STANDINS, drawing, inline

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

NEW = "new_class_"
ROUNDING = 1e-9  # what is smaller, such as a singular value of fewer images than features, is 0
MEASURED = {
    "accuracy": "share that is right",
    "signed_gap": "confidence minus accuracy",
    "logit_gap": "gap of the two largest logits",
    "feature_divergence": "feature divergence of class names",
    "smallest_singular_value": "smallest singular value of images",
}


@dataclass(frozen=True)
class Course:
    """The figure of one run.

    Args:
        title: of the run.
        figure: the lines.
        has_new: whether classes that were not tuned are among them.
    """

    title: str
    figure: Markup
    has_new: bool


def course_of(title: str, rows: Sequence[Mapping[str, float]], name: str) -> Course | None:
    """Draw what was watched while a model was tuned.

    Args:
        title: of the run.
        rows: what the log says, in order: ``done`` (share of the steps) with the keys of `MEASURED`, those of new
            classes after ``new_class_``, and all of the zero-shot model after ``zero_shot_``.
        name: unique in the page.

    Returns:
        The figure, or None where nothing was watched.
    """
    from matplotlib.figure import Figure

    shown = [key for key in MEASURED if any(key in row or NEW + key in row for row in rows)]
    if not shown:
        return None
    has_new = any(NEW + key in row for row in rows for key in shown)
    with drawing(text_as_paths=False):
        columns = 3
        lines = -(-len(shown) // columns)
        height = 1.75 * lines
        figure = Figure(figsize=(7.6, height))
        for index, key in enumerate(shown):
            row, column = divmod(index, columns)
            left, bottom = 0.065 + column * 0.333, 1 - (row + 1) / lines + 0.4 / height
            axes = figure.add_axes((left, bottom, 0.25, 1 / lines - 0.72 / height))
            _lines(axes, rows, key)
        return Course(title, inline(figure, name, _said(title, rows, shown)), has_new)


def _lines(axes: Axes, rows: Sequence[Mapping[str, float]], key: str) -> None:
    for series, prefix in enumerate(("", NEW)):
        known = [row for row in rows if prefix + key in row]
        if not known:
            continue
        colour, done = STANDINS[f"series-{series + 1}"], [row["done"] for row in known]
        axes.plot(
            done, [_rounded(row[prefix + key]) for row in known], color=colour, linewidth=1.4, marker="os"[series], ms=3
        )
        before = known[-1].get(f"zero_shot_{prefix}{key}")
        if before is not None:
            axes.axhline(_rounded(before), color=colour, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.7)
    if key == "signed_gap":
        axes.axhline(0, color=STANDINS["muted"], linewidth=0.8)
    bottom, top = axes.get_ylim()
    if top - bottom < ROUNDING:  # nothing but zeros
        axes.set_ylim(-0.05, 0.05)
    axes.set_title(MEASURED[key], fontsize=8.5, loc="left", color=STANDINS["ink"])
    axes.set_xlim(0, 1.03)
    axes.set_xticks([0, 0.5, 1], ["start", "half", "end"])
    axes.tick_params(length=2.5, labelsize=7.5)
    axes.grid(axis="y", color=STANDINS["grid"], linewidth=0.6)
    axes.set_axisbelow(True)


def _said(title: str, rows: Sequence[Mapping[str, float]], shown: Sequence[str]) -> str:
    parts = []
    for prefix, whose in (("", "tuned classes"), (NEW, "new classes")):
        for key in shown:
            known = [row for row in rows if prefix + key in row]
            if known:
                first, last = _rounded(known[0][prefix + key]), _rounded(known[-1][prefix + key])
                before = known[-1].get(f"zero_shot_{prefix}{key}")
                reference = "" if before is None else f", zero-shot {_rounded(before):.3g}"
                parts.append(f"{MEASURED[key]}, {whose}: {first:.3g} at first, {last:.3g} at the end{reference}")
    return f"{title} while it was tuned. {'; '.join(parts)}."


def _rounded(value: float) -> float:
    return 0.0 if abs(value) < ROUNDING else value
