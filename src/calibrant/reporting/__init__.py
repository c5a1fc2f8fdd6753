"""Figures, the report page and tables for the terminal; reads stored predictions only, never a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibrant.reporting.figures import reliability_before_after as reliability_before_after
    from calibrant.reporting.page import write_report as write_report
    from calibrant.reporting.results import RunResults as RunResults
    from calibrant.reporting.results import SetResult as SetResult
    from calibrant.reporting.terminal import captions_once as captions_once
    from calibrant.reporting.terminal import measures_table as measures_table

_HOMES = {
    "RunResults": "results",
    "SetResult": "results",
    "captions_once": "terminal",
    "measures_table": "terminal",
    "reliability_before_after": "figures",
    "write_report": "page",
}
__all__ = ["RunResults", "SetResult", "captions_once", "measures_table", "reliability_before_after", "write_report"]


def __getattr__(name: str) -> Any:
    # Matplotlib, Jinja2 and rich are slow to import and only needed once something is written
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
