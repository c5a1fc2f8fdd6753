"""Which calibrator helps, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from calibrant.measuring.behaviour import Behaviour, Weights
from calibrant.metrics import Estimate
from calibrant.reporting import write_report
from calibrant.reporting.helping import effects, in_words
from calibrant.reporting.measures import measure_run
from calibrant.reporting.results import RunResults, SetResult, UnknownRow


def test_a_calibrator_that_helps_one_that_hurts_and_one_that_does_nothing(
    make_arguments: Callable[..., dict[str, Any]], make_run: Callable[..., RunResults]
) -> None:
    made = make_arguments("one", overconfidence=2.0, leftover=1.0)
    raw = made["probabilities"]["none"]
    far = raw**3 / (raw**3).sum(axis=1, keepdims=True)
    made["probabilities"] = {**made["probabilities"], "worse": far, "same": raw.copy()}
    found = effects(measure_run(replace(make_run(), sets=[SetResult(**made)])))
    verdicts = {one.calibrator: one.verdict for one in found}
    assert verdicts == {"temperature": "helps", "worse": "hurts", "same": "cannot tell"}
    assert [one.calibrator for one in found if one.best] == ["temperature"]
    assert found[2].nll_change is not None
    assert found[2].nll_change.value == 0
    assert in_words(found) == [
        "Temperature scaling lowers the calibration error on one.",
        "Worse raises the calibration error on one.",
        "Same may make no difference on one.",
    ]


def test_a_loss_that_is_infinite(
    make_arguments: Callable[..., dict[str, Any]], make_run: Callable[..., RunResults]
) -> None:
    made = make_arguments("one")
    wrong = np.zeros_like(made["probabilities"]["none"])
    wrong[np.arange(len(wrong)), (made["labels"] + 1) % wrong.shape[1]] = 1
    made["probabilities"]["temperature"] = wrong
    (found,) = effects(measure_run(replace(make_run(), sets=[SetResult(**made)])))
    assert found.nll_change is None
    assert found.verdict == "hurts"
    assert not found.best


def test_the_page_shows_calibrators_weights_and_unknown_images(tmp_path: Path, one_run: RunResults) -> None:
    part = {"part": "all", "n": 7, "tuned": 0.1, "zero_shot": 0.2, "unit": "cosine"}
    weight = {"part": "all", "n": 7, "mean_weight": 0.93, "correlation": float("nan")}
    seen = Behaviour("emoji/new", [part], [Weights("dac", [weight])], 3, 10, [("<owl>", 0.88)])
    known = {"auroc": Estimate(0.81, 0.7, 0.9), "fpr95": Estimate(0.4, 0.3, 0.5)}
    unknown = UnknownRow("emoji/unknown", "emoji", "max-softmax", 40, 60, known)
    page = write_report([replace(one_run, behaviour=[seen], unknown=[unknown])], tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    for shown in ("Which calibrator helps", "What calibrators for new classes would do", "0.930", "&lt;owl&gt; 0.880"):
        assert shown in text
    for shown in ("Images of none of the classes", "81.0 %", "max-softmax"):
        assert shown in text


def test_nothing_is_said_of_calibrators_where_there_is_none(
    tmp_path: Path, make_arguments: Callable[..., dict[str, Any]], make_run: Callable[..., RunResults]
) -> None:
    made = make_arguments("one")
    del made["probabilities"]["temperature"]
    page = write_report([replace(make_run(), sets=[SetResult(**made)])], tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    assert "Which calibrator helps" not in text
    assert "Images of none of the classes" not in text
