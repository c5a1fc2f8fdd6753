"""How numbers are written in tables."""

from __future__ import annotations

import math

from calibrant.metrics import Estimate


def number(value: float, share: bool) -> str:
    """Write a value: shares as per cent, others with three decimals.

    Example:
        >>> number(0.7142, True), number(0.0312, False), number(float("inf"), False)
        ('71.4 %', '0.031', '∞')
    """
    if math.isinf(value):
        return "∞"
    return f"{100 * value:.1f} %" if share else f"{value:.3f}"


def ends(estimate: Estimate, share: bool) -> str:
    """Write the interval of a value.

    Example:
        >>> ends(Estimate(0.7, 0.684, 0.741), True), ends(Estimate(0.7, float("nan"), float("nan")), False)
        ('68.4–74.1', 'no interval')
    """
    if not estimate.known:
        return "no interval"
    return f"{number(estimate.low, share).removesuffix(' %')}–{number(estimate.high, share).removesuffix(' %')}"


def sortable(value: float) -> str:
    """Write a value so that JavaScript's ``Number`` reads it.

    Example:
        >>> sortable(0.5), sortable(float("inf"))
        ('0.5', 'Infinity')
    """
    return "Infinity" if math.isinf(value) else repr(float(value))


def nobreak(text: str) -> str:
    r"""Keep a number with its sign and both ends of an interval on one line.

    Example:
        >>> nobreak("66–72 %") == "66\u2060–\u206072\u00a0%"
        True
    """
    return text.replace(" %", "\u00a0%").replace("–", "\u2060–\u2060")
