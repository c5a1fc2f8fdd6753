"""What cannot be reported is refused by name; the terminal table and the picture for the README."""

from __future__ import annotations

import dataclasses
import io
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from calibrant import metrics
from calibrant.errors import InputError
from calibrant.reporting import RunResults, SetResult, print_results, reliability_before_after


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full(20, 10)}, "emoji/test: a label lies outside the 10 classes"),
        ({"labels": np.full(20, -1)}, "a label lies outside"),
        ({"probabilities": {}}, "need the entry 'none'"),
        ({"probabilities": {"none": np.full((20, 10), 0.2)}}, "emoji/test, none: every row"),
        ({"probabilities": {"none": np.full((20, 10), np.nan)}}, "finite"),
        ({"zero_shot": np.full((20, 9), 1 / 9)}, "emoji/test, zero-shot: probabilities have shape"),
        ({"ids": ["a"] * 20}, "ids must be unique"),
        ({"units": np.arange(3)}, "3 units for 20 labels"),
        ({"kind": "odd"}, "kind must be one of"),
    ],
)
def test_bad_sets_are_named(make_set: Callable[..., SetResult], change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(make_set(n=20), **change)


def test_bad_runs_are_named(make_set: Callable[..., SetResult]) -> None:
    with pytest.raises(InputError, match="A: nothing was measured"):
        RunResults("A", "ft", "tiny", "emoji", [])
    with pytest.raises(InputError, match="A: two evaluation sets"):
        RunResults("A", "ft", "tiny", "emoji", [make_set(n=20)] * 2)


def test_the_terminal_table_fits_and_keeps_brackets(make_set: Callable[..., SetResult]) -> None:
    one = make_set("[bold]/test", n=100)
    console = Console(width=80, record=True, file=io.StringIO())
    print_results([RunResults("[red]A", "ft", "tiny", "emoji", [one])], console)
    text = console.export_text()
    right = 100 * np.mean(one.probabilities["none"].argmax(1) == one.labels)
    assert "[bold]/test" in text
    assert "[red]A" in text
    assert f"{right:.1f} % (" in text
    assert "temperature" in text


def test_the_picture_for_the_readme(tmp_path: Path, make_set: Callable[..., SetResult]) -> None:
    one = make_set(n=200)
    curves = {name: metrics.reliability(table, one.labels) for name, table in one.probabilities.items()}
    file = reliability_before_after(curves, tmp_path / "picture.svg")
    text = file.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "#fe01" not in text  # no stand-in colour is left
    assert text == reliability_before_after(curves, tmp_path / "again.svg").read_text(encoding="utf-8")
