"""From a Matplotlib figure to SVG: inline in the page, where CSS gives the colours, or a file of its own."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from calibrant.storage import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LIGHT = {
    "ink": "#1d2a33",
    "muted": "#61707b",
    "grid": "#dfe5e8",
    "paper": "#ffffff",
    "gap": "#c8553d",
    "series-0": "#6b7780",
    "series-1": "#1f6f9f",
    "series-2": "#c8553d",
    "series-3": "#2f8160",
    "series-4": "#7a4ea3",
    "series-5": "#96690a",
    "series-6": "#a83a6d",
}
SERIES = 7  # colours of methods; the markers repeat with another period, so 28 methods stay apart
# Figures are drawn in these stand-ins, which become CSS variables in the page and light colours in a file.
STANDINS = {role: f"#fe01{index:02x}" for index, role in enumerate(_LIGHT)}


def light_colours() -> dict[str, str]:
    """Give the colours of figures on white paper, by role."""
    return dict(_LIGHT)


@contextmanager
def drawing(*, text_as_paths: bool) -> Iterator[None]:
    """Draw with the house settings without touching those of the caller's Matplotlib.

    Args:
        text_as_paths: True for a file that looks the same everywhere, False to let the page choose the font.
    """
    import matplotlib

    settings: dict[Any, Any] = {
        "svg.fonttype": "path" if text_as_paths else "none",
        "svg.hashsalt": "calibrant",
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "font.size": 9,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": STANDINS["grid"],
        "axes.labelcolor": STANDINS["muted"],
        "text.color": STANDINS["ink"],
        "xtick.color": STANDINS["grid"],
        "ytick.color": STANDINS["grid"],
        "xtick.labelcolor": STANDINS["muted"],
        "ytick.labelcolor": STANDINS["muted"],
        "axes.facecolor": "none",
        "figure.facecolor": "none",
    }
    with matplotlib.rc_context(settings):
        yield


def _render(figure: Figure) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    # the canvas of its own: no window system and no global back-end is touched
    buffer = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def inline(figure: Figure, name: str, description: str) -> Markup:
    """Make a figure part of an HTML page.

    Args:
        figure: drawn in the colours of `STANDINS`.
        name: unique in the page; keeps the ids of several figures apart.
        description: what a reader who cannot see it should be told.

    Returns:
        An ``<svg>`` element without network addresses, coloured by the CSS variables ``--fig-...``.
    """
    with warnings.catch_warnings():
        # Matplotlib only measures the text here; the browser has the letters its own font lacks
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        root = ElementTree.fromstring(_render(figure))
    for parent in list(root.iter()):
        for child in list(parent):
            # the metadata hold addresses; a <style> inside an inline SVG would reach the whole page
            if _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = {found for element in root.iter() for value in element.attrib.values() for found in _references(value)}
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {
            _local(key): _slim(value, name)
            for key, value in element.attrib.items()
            if not (key == "id" and value not in used) and not value.startswith("rotate(-0 ")
        }
        if "id" in element.attrib:
            element.set("id", f"{name}-{element.get('id')}")
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": description}
    return Markup(ElementTree.tostring(root, encoding="unicode", method="html"))


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _references(value: str) -> list[str]:
    return [found[1] for found in re.findall(r"(^|url\()#([\w.-]+)", value)]


def _slim(value: str, name: str) -> str:
    value = re.sub(r"(^|url\()#(?!fe01)([\w.-]+)", rf"\1#{name}-\2", value)
    value = re.sub(r"font-family: [^;]*;? ?", "", value)  # the page's own font
    value = re.sub(r"(-?\d+\.\d{2})\d+", r"\1", value)
    for role, standin in STANDINS.items():
        value = value.replace(standin, f"var(--fig-{role})")
    return " ".join(value.split())


def write_file(figure: Figure, path: str | Path) -> Path:
    """Write a figure as an SVG file in the light colours.

    Args:
        figure: drawn in the colours of `STANDINS`.
        path: the file.

    Returns:
        The path.

    Raises:
        InputError: if the file cannot be written.
    """
    text = _render(figure)
    for role, standin in STANDINS.items():
        text = text.replace(standin, _LIGHT[role])
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)
