"""When to rely on an answer: the sentence of the first box, and the table of prediction sets."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibrant.calibrate import preferred
from calibrant.calibration import AnswerRule, calibrator
from calibrant.errors import CalibrantWarning
from calibrant.metrics import set_summary
from calibrant.report import in_order
from calibrant.reporting import RunResults, SetResult, write_report
from calibrant.reporting.measures import measure_run
from calibrant.reporting.relying import MeasuredSets, Reliance, when_to_rely
from calibrant.reporting.words import first_box


def rule(risk: float, threshold: float | None, answered: int, errors: int) -> AnswerRule:
    return AnswerRule(risk, 0.95, threshold, 400, answered, errors, 0.5)


def test_the_usual_risk_leads_and_a_smaller_one_follows() -> None:
    rules = [rule(0.2, 0.4, 390, 50), rule(0.05, 0.8712, 284, 6), rule(0.01, None, 80, 0)]
    assert when_to_rely(rules) == (
        "Answers above 0.87 (71 % of images): at most 5 % wrong, 95 % certain (n = 284, 6 errors). "
        "For 1 % about 300 answers without an error are needed."
    )
    rules[2] = rule(0.01, 0.9987, 340, 0)
    assert when_to_rely(rules).endswith(
        "Answers above 0.998 (85 % of images): at most 1 % wrong, 95 % certain (n = 340, 0 errors)."
    )


def test_what_cannot_be_promised_is_not() -> None:
    some = when_to_rely([rule(0.01, None, 40, 1), rule(0.05, None, 40, 1), rule(0.1, 0.9, 100, 2)])
    assert some.startswith("Answers above 0.90 (25 % of images): at most 10 % wrong")
    assert some.endswith("For 5 % about 59 answers without an error are needed.")
    none = when_to_rely([rule(0.1, None, 20, 5), rule(0.2, None, 20, 5)])
    assert "at most 20 % of answers are wrong" in none
    assert "20 surest of 400 images there are 5 errors" in none


def with_reliance(run: RunResults, calibrator: str = "temperature") -> RunResults:
    sets = np.eye(4, dtype=bool)[np.arange(40) % 4]
    summary = set_summary(sets, np.arange(40) % 4)
    rows = tuple(MeasuredSets(name, name == "emoji/test", "aps", 0.1, summary) for name in ("emoji/test", "emoji/hard"))
    reliance = Reliance(calibrator, (rule(0.01, None, 80, 0), rule(0.05, 0.8712, 284, 6)), rows)
    return replace(run, reliance=reliance)


def test_the_first_box_says_when_to_rely(make_set: Callable[..., SetResult]) -> None:
    plain = RunResults("CoOp", "coop", "tiny", "emoji", [make_set(n=200)])
    points = {point.about: point.text for point in first_box([measure_run(with_reliance(plain))])}
    said = points["When to rely on an answer"]
    assert said.startswith("Answers above 0.87 (71 % of images): at most 5 % wrong, 95 % certain")
    assert "after temperature scaling" in said
    raw = {point.about: point.text for point in first_box([measure_run(with_reliance(plain, "none"))])}
    assert "temperature" not in raw["When to rely on an answer"]
    assert "When to rely on an answer" not in {point.about for point in first_box([measure_run(plain)])}


def test_the_page_shows_the_sets_once_they_were_measured(make_set: Callable[..., SetResult], tmp_path: Path) -> None:
    plain = RunResults("CoOp", "coop", "tiny", "emoji", [make_set(n=200)])
    without = write_report([plain], tmp_path / "a.html").read_text(encoding="utf-8")
    assert "How many classes hold the right one" not in without
    page = " ".join(write_report([with_reliance(plain)], tmp_path / "b.html").read_text(encoding="utf-8").split())
    section = page[page.index("How many classes hold") :]
    section = section[: section.index("</section>")]
    assert "at least 90" in section
    assert section.count("adaptive sets (APS)") == 2
    assert section.count("nothing is promised") == 1
    assert len(re.findall(r"100\.0 %<small>91\.2–100\.0", section)) == 2
    assert "1.00<small>1.00–1.00" in section


def test_the_calibrator_that_the_page_goes_by_is_the_same_everywhere() -> None:
    fitted = {name: calibrator(name).fit([[2.0, 0.0]] * 4, [0, 0, 0, 1]) for name in ("isotonic", "temperature")}
    assert next(iter(in_order(fitted).values())) is preferred(fitted)
    with pytest.warns(CalibrantWarning, match="every answer is right"):
        unsettled = {**fitted, "temperature": calibrator("temperature").fit([[2.0, 0.0]] * 4, [0] * 4)}
    assert next(iter(in_order(unsettled).values())) is preferred(unsettled) is fitted["isotonic"]
