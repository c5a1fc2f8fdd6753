"""The pictures: reliability diagrams, and accuracy and calibration error per evaluation set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from calibrant.metrics import Reliability
from calibrant.reporting.svg import SERIES, STANDINS, drawing, inline, write_file

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^v"
FEW = 10  # answers in a bin; below it the point is drawn faintly, its interval spans most of the axis anyway


def _reliability_axes(points: Axes, counts: Axes, curve: Reliability) -> None:
    filled = curve.count > 0
    count, confidence, accuracy = curve.count[filled], curve.confidence[filled], curve.accuracy[filled]
    centre, width = ((curve.edges[:-1] + curve.edges[1:]) / 2)[filled], np.diff(curve.edges)[filled]
    points.plot([0, 1], [0, 1], color=STANDINS["muted"], linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    points.vlines(confidence, accuracy, confidence, color=STANDINS["gap"], alpha=0.3, linewidth=5, zorder=2)
    for few in (False, True):
        chosen = (count < FEW) == few
        shade = 0.4 if few else 1.0
        points.vlines(
            confidence[chosen],
            curve.low[filled][chosen],
            curve.high[filled][chosen],
            color=STANDINS["series-1"],
            alpha=shade,
            linewidth=1.3,
            zorder=3,
        )
        points.scatter(
            confidence[chosen],
            accuracy[chosen],
            s=20,
            color=STANDINS["series-1"],
            alpha=shade,
            linewidth=0,
            zorder=4,
        )
    points.set(xlim=(0, 1), ylim=(0, 1), ylabel="share that is right")
    counts.bar(centre, count, width=width * 0.86, color=STANDINS["series-1"], alpha=0.45, linewidth=0)
    for x, number in zip(centre, count, strict=True):
        counts.text(x, number + count.max() * 0.06, _short(int(number)), ha="center", fontsize=6.8)
    counts.set(xlim=(0, 1), ylim=(0, count.max() * 1.35), yticks=[], xlabel="confidence")
    counts.set_ylabel("images")
    ticks, names = [0, 0.2, 0.4, 0.6, 0.8, 1], ["0", "20 %", "40 %", "60 %", "80 %", "100 %"]
    points.set_xticks(ticks, names)
    points.set_yticks(ticks, names)
    counts.set_xticks(ticks, names)
    for axes in (points, counts):
        axes.tick_params(length=2.5)
        axes.yaxis.set_label_coords(-0.125, 0.5)
    points.tick_params(labelbottom=False, bottom=False)
    points.grid(color=STANDINS["grid"], linewidth=0.6, zorder=0)
    points.set_axisbelow(True)
    counts.spines["left"].set_visible(False)


def _short(number: int) -> str:
    return str(number) if number < 10_000 else f"{number / 1000:.0f}k"


def _reliability_figure(curves: Mapping[str, Reliability], titled: bool) -> Figure:
    from matplotlib.figure import Figure

    side, left, right, strip, gap, bottom, top = (
        3.7,
        0.66,
        0.24,
        0.72,
        0.1,
        0.45,
        0.36 if titled else 0.08,
    )  # inches
    panel, height = left + side + right, bottom + strip + gap + side + top
    width = panel * len(curves)
    figure = Figure(figsize=(width, height))
    for column, (title, curve) in enumerate(curves.items()):
        x = (column * panel + left) / width
        points = figure.add_axes((x, (bottom + strip + gap) / height, side / width, side / height))
        counts = figure.add_axes((x, bottom / height, side / width, strip / height))
        _reliability_axes(points, counts, curve)
        if titled:
            points.set_title(title, fontsize=11, loc="left", color=STANDINS["ink"])
    return figure


def reliability_diagram(curve: Reliability, name: str, description: str) -> Markup:
    """Draw one reliability diagram for the page.

    Args:
        curve: what `calibrant.metrics.reliability` returns.
        name: unique in the page.
        description: the text for readers who cannot see it.

    Returns:
        An inline ``<svg>``: share right against confidence with 95 % intervals, and the images per bin.
    """
    with drawing(text_as_paths=False):
        return inline(_reliability_figure({name: curve}, titled=False), name, description)


def reliability_before_after(curves: Mapping[str, Reliability], path: str | Path) -> Path:
    """Write reliability diagrams side by side as one SVG file, as the README shows them.

    Args:
        curves: title to what `calibrant.metrics.reliability` returns, in reading order.
        path: the SVG file.

    Returns:
        The path.

    Raises:
        InputError: if the file cannot be written.
    """
    with drawing(text_as_paths=True):
        figure = _reliability_figure(curves, titled=True)
        figure.set_facecolor(STANDINS["paper"])
        return write_file(figure, path)


@dataclass(frozen=True)
class Mark:
    """One measured value with its interval in a figure over evaluation sets.

    Args:
        row: the evaluation set.
        series: index of the method; gives colour and marker.
        value: the value.
        low: lower end of the interval.
        high: upper end of the interval.
        hollow: drawn as an outline (before calibration).
    """

    row: str
    series: int
    value: float
    low: float
    high: float
    hollow: bool = False


def values_by_set(marks: Sequence[Mark], axis: str, percent: bool, name: str, description: str) -> Markup:
    """Draw values with intervals, one row per evaluation set.

    Args:
        marks: the values; rows appear in the order in which they first occur.
        axis: the label of the value axis.
        percent: whether the axis shows per cent.
        name: unique in the page.
        description: the text for readers who cannot see it.

    Returns:
        An inline ``<svg>``.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    rows = list(dict.fromkeys(mark.row for mark in marks))
    lanes = sorted({(mark.series, not mark.hollow) for mark in marks})
    pitch = 0.8 / len(lanes)
    height = len(rows) * (0.16 + 0.13 * len(lanes)) + 0.55
    with drawing(text_as_paths=False):
        figure = Figure(figsize=(5.0, height))
        axes = figure.add_axes((0.26, 0.47 / height, 0.71, 1 - 0.53 / height))
        for mark in marks:
            lane = lanes.index((mark.series, not mark.hollow))
            _draw_mark(axes, mark, rows.index(mark.row) - 0.4 + (lane + 0.5) * pitch)
        for border in range(1, len(rows)):
            axes.axhline(border - 0.5, color=STANDINS["grid"], linewidth=0.6)
        axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel=axis)
        axes.set_xlim(0, float(np.nanmax([(mark.value, mark.high) for mark in marks])) * 1.04 or 1)
        axes.set_yticks(range(len(rows)), [_fit(row) for row in rows])
        axes.xaxis.set_major_locator(MaxNLocator(5))
        if percent:
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
        axes.tick_params(axis="y", length=0, labelcolor=STANDINS["ink"])
        axes.tick_params(axis="x", length=2.5)
        axes.grid(axis="x", color=STANDINS["grid"], linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines["left"].set_visible(False)
        return inline(figure, name, description)


def _draw_mark(axes: Axes, mark: Mark, height: float) -> None:
    colour = STANDINS[f"series-{mark.series % SERIES}"]
    axes.hlines(height, mark.low, mark.high, color=colour, linewidth=1.2, alpha=0.55 if mark.hollow else 1, zorder=2)
    axes.scatter(
        [mark.value],
        [height],
        s=24,
        marker=MARKERS[mark.series % len(MARKERS)],
        facecolor=STANDINS["paper"] if mark.hollow else colour,
        edgecolor=colour,
        linewidth=1.1,
        zorder=3,
    )


def _fit(label: str) -> str:
    """Shorten a label from its front, where names of sets agree (``folder:/a/long/path/test``)."""
    return label if len(label) <= 20 else "…" + label[-19:]
