"""What the report shows of the course of tuning."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

from calibrant.reporting import RunResults, write_report
from calibrant.reporting.course import MEASURED, course_of


def watched(*, new: bool, before: bool = True) -> list[dict[str, float]]:
    rows = []
    for tenth in range(1, 11):
        row = {"done": tenth / 10}
        for index, key in enumerate(MEASURED):
            for prefix in ("", "new_class_") if new else ("",):
                row[prefix + key] = 0.1 * index + 0.02 * tenth + (0.3 if prefix else 0)
                if before:
                    row[f"zero_shot_{prefix}{key}"] = 0.1 * index
        rows.append(row)
    return rows


def test_every_measure_has_a_panel_with_its_lines() -> None:
    course = course_of("CoOp <b>", watched(new=True), "g0-c0")
    assert course is not None
    assert course.has_new
    for heading in MEASURED.values():
        assert f">{heading}<" in course.figure
    # both ends of the lines are told to those who do not see them
    assert "share that is right, tuned classes: 0.02 at first, 0.2 at the end, zero-shot 0" in course.figure
    assert "share that is right, new classes: 0.32 at first, 0.5 at the end, zero-shot 0" in course.figure
    assert "<b>" not in course.figure


def test_what_was_not_watched_is_not_drawn() -> None:
    assert course_of("CoOp", [], "a") is None
    assert course_of("CoOp", [{"done": 0.1}], "a") is None
    only = course_of("CoOp", [{"done": 0.5, "accuracy": 0.1}, {"done": 1.0, "accuracy": 0.2}], "a")
    assert only is not None
    assert not only.has_new
    assert "logit" not in only.figure


def test_what_is_only_rounding_is_zero() -> None:
    key = "smallest_singular_value"
    rows = [{"done": done, key: 6.2e-15 * done, f"zero_shot_{key}": 6e-15} for done in (0.5, 1.0)]
    course = course_of("CoOp", rows, "a")
    assert course is not None
    assert "smallest singular value of images, tuned classes: 0 at first, 0 at the end" in course.figure
    assert not re.search("1e−[0-9]", course.figure)  # of an axis


def test_the_page_has_the_course_of_every_run_that_has_one(make_run: Callable[..., RunResults], tmp_path: Path) -> None:
    first = dataclasses.replace(make_run("CoOp"), course=watched(new=False))
    other = dataclasses.replace(make_run("FLYP", "flyp", seed=2), course=watched(new=True))
    text = write_report([first, other, make_run("FT", "ft", seed=3)], tmp_path / "a.html").read_text("utf-8")
    assert text.count("<h2>While it was tuned</h2>") == 1
    assert len(re.findall(r"while it was tuned\. ", text)) >= 2
    assert "Squares: classes that were not." in text
    plain = write_report([make_run("FT", "ft")], tmp_path / "b.html").read_text("utf-8")
    assert "While it was tuned" not in plain
