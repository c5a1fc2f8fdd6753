"""How numbers are written in tables."""

from __future__ import annotations

import math

from calibrant.metrics import Estimate


def number(value: float, share: bool) -> str:
    """Write a value: shares as per cent, others with three decimals.

    Example:
        >>> number(0.7142, True), number(0.0312, False), number(float("inf"), False), number(-0.02, True)
        ('71.4 %', '0.031', '∞', '−2.0 %')
    """
    if math.isinf(value):
        return "∞"
    if share:
        return f"{100 * value:.1f} %".replace("-0.0 ", "0.0 ").replace("-", "−")
    return f"{value:.3f}".replace("-0.000", "0.000").replace("-", "−")


def ends(estimate: Estimate, share: bool) -> str:
    """Write the interval of a value.

    Example:
        >>> ends(Estimate(0.7, 0.684, 0.741), True), ends(Estimate(0.7, float("nan"), float("nan")), False)
        ('68.4–74.1', 'no interval')
    """
    if not estimate.known:
        return "no interval"
    return f"{number(estimate.low, share).removesuffix(' %')}–{number(estimate.high, share).removesuffix(' %')}"


def signed(change: Estimate) -> str:
    """Write a change with its sign.

    Example:
        >>> signed(Estimate(-0.0312, -0.05, -0.01)), signed(Estimate(0.0312, 0.01, 0.05)), signed(Estimate(-0.0, -1, 1))
        ('−0.031', '+0.031', '0.000')
    """
    return _signed(change.value).replace("−0.000", "0.000").replace("+0.000", "0.000")


def signed_ends(change: Estimate) -> str:
    """Write the interval of a change.

    Example:
        >>> signed_ends(Estimate(0.02, -0.01, 0.05))
        '−0.010 to +0.050'
    """
    return f"{_signed(change.low)} to {_signed(change.high)}" if change.known else "no interval"


def signed_points(change: Estimate) -> str:
    """Write a change of a share in percentage points.

    Example:
        >>> signed_points(Estimate(-0.0312, -0.05, -0.01)), signed_points(Estimate(0.0, -0.05, 0.01))
        ('−3.1', '0.0')
    """
    return _points(change.value)


def signed_point_ends(change: Estimate) -> str:
    """Write the interval of a change of a share in percentage points.

    Example:
        >>> signed_point_ends(Estimate(0.02, -0.01, 0.05))
        '−1.0 to +5.0'
    """
    return f"{_points(change.low)} to {_points(change.high)}" if change.known else "no interval"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}".replace("-", "−").replace("−0.0", "0.0").replace("+0.0", "0.0")


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")


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
