"""What cannot be reported is refused by name; the terminal table and the picture for the README."""

from __future__ import annotations

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
from calibrant.reporting import RunResults, SetResult, captions_once, measures_table, reliability_before_after

Arguments = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full(20, 10)}, "emoji/test: a label lies outside the 10 classes"),
        ({"labels": np.full(20, -1)}, "a label lies outside"),
        ({"probabilities": {}}, "need the entry 'none'"),
        (
            {"probabilities": {"none": np.full((20, 10), 0.2)}},
            "emoji/test, none: probabilities must sum to 1 in every row",
        ),
        ({"probabilities": {"none": np.full((20, 10), np.nan)}}, "emoji/test, none: probabilities hold a NaN"),
        ({"zero_shot": np.full((20, 9), 1 / 9)}, "emoji/test, zero-shot: probabilities have shape"),
        ({"ids": ["a"] * 20}, "ids must be unique"),
        ({"units": np.arange(3)}, "3 units for 20 labels"),
        ({"kind": "odd"}, "kind must be one of"),
    ],
)
def test_bad_sets_are_named(make_arguments: Arguments, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SetResult(**make_arguments(n=20) | change)


def test_bad_runs_are_named(make_set: Callable[..., SetResult]) -> None:
    with pytest.raises(InputError, match="A: nothing was measured"):
        RunResults("A", "ft", "tiny", "emoji", [])
    with pytest.raises(InputError, match="A: two evaluation sets"):
        RunResults("A", "ft", "tiny", "emoji", [make_set(n=20)] * 2)


def printed(width: int, *table: Any, **options: Any) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(measures_table(*table, **options))
    return console.export_text()


def test_the_terminal_table_fits_and_keeps_brackets(make_arguments: Arguments) -> None:
    drawn = make_arguments(n=100)
    rows = [
        {"data": data, "method": "[red]A", "calibrator": name, "n": 100, "measures": measured}
        for data in ("[bold]/test", "other")
        for name, table in drawn["probabilities"].items()
        for measured in [metrics.summary_with_intervals(table, drawn["labels"], resamples=50)]
    ]
    text = printed(80, "[b]title", rows, ("data", "method", "calibrator"), ("accuracy", "ece"))
    found = rows[0]["measures"]
    assert "[b]title" in text
    assert text.count("[bold]/test") == 1
    assert text.count("[red]A") == 4
    assert text.count(f"{100 * found['accuracy']['value']:.1f} %") == 4
    assert f"{found['ece']['low']:.3f}–{found['ece']['high']:.3f}" in text
    assert f" {found['ece_noise_floor']['value']:.3f}" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_terminal_table_of_what_has_no_interval() -> None:
    measured = metrics.summary_with_intervals([[1.0, 0.0]], [1])
    text = printed(120, "one", [{"group": "a", "n": 1, "measures": measured}], ("group", "n"))
    assert "∞" in text
    assert "no interval" in text


def test_the_picture_for_the_readme(tmp_path: Path, make_arguments: Arguments) -> None:
    drawn = make_arguments(n=200)
    curves = {name: metrics.reliability(table, drawn["labels"]) for name, table in drawn["probabilities"].items()}
    file = reliability_before_after(curves, tmp_path / "picture.svg")
    text = file.read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "#fe01" not in text  # no stand-in colour is left
    assert text == reliability_before_after(curves, tmp_path / "again.svg").read_text(encoding="utf-8")


def test_what_is_said_under_one_table_is_not_said_again() -> None:
    measured = {"value": 0.1, "low": 0.0, "high": 0.2}
    ece = {"ece": {**measured, "p_value": 0.3}, "ece_noise_floor": measured}
    rows = [{"group": "a", "measures": ece}, {"group": "b", "measures": {**ece, "ece": measured}}]
    made = list(captions_once(measures_table("", [row], ("group",), ("ece",)) for row in [*rows, rows[0]]))
    assert str(made[0].caption).count("Floor") == 1
    assert made[1].caption is made[2].caption is None
