"""Which calibrator helps, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrant.deciding.unknown_images import RISK
from calibrant.measuring.behaviour import Behaviour, Weights
from calibrant.metrics import Estimate
from calibrant.reporting import unknown, write_report
from calibrant.reporting.helping import Effect, effects, in_words
from calibrant.reporting.measures import measure_run
from calibrant.reporting.relying import USUAL
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
    assert verdicts == {"temperature": "helps", "worse": "hurts", "same": "cannot be told"}
    assert [one.calibrator for one in found if one.best] == ["temperature"]
    assert found[2].nll_change is not None
    assert found[2].nll_change.value == 0
    assert in_words(found) == [
        "Temperature scaling lowers the calibration error on one.",
        "Worse raises the calibration error on one.",
        "Same does not change the calibration error by more than chance on one.",
        "The lowest log loss has temperature scaling on one (by more than chance).",
    ]


def test_the_differences_are_those_of_the_losses_of_the_images(
    make_arguments: Callable[..., dict[str, Any]], make_run: Callable[..., RunResults]
) -> None:
    made = make_arguments("one", overconfidence=2.0, leftover=1.3)
    raw, labels = made["probabilities"]["none"], made["labels"]
    made["probabilities"]["flat"] = raw**0.1 / (raw**0.1).sum(axis=1, keepdims=True)
    found = effects(measure_run(replace(make_run(), sets=[SetResult(**made)])))
    loss = {
        name: float(np.mean([-np.log(table[i, label]) for i, label in enumerate(labels)]))
        for name, table in made["probabilities"].items()
    }
    for one in found:
        assert one.lowest == min(loss, key=loss.__getitem__)
        assert one.before["nll"].value == pytest.approx(loss["none"])
        assert one.after["nll"].value == pytest.approx(loss[one.calibrator])
        assert one.nll_change is not None
        assert one.nll_change.value == pytest.approx(loss[one.calibrator] - loss["none"])
        assert one.above_lowest is not None
        assert one.above_lowest.value == pytest.approx(loss[one.calibrator] - loss[one.lowest])


def test_calibrators_that_do_the_same_share_a_sentence() -> None:
    less, even, more = Estimate(-0.05, -0.07, -0.03), Estimate(0.0, -0.01, 0.01), Estimate(0.1, 0.05, 0.2)
    found = [
        Effect(name, "id", calibrator, {}, {}, change, change, "dac", more)
        for name, change in (("pets", less), ("birds", even))
        for calibrator in ("dac", "dac+temperature")
    ]
    assert in_words(found) == [
        "DAC and DAC followed by temperature scaling lower the calibration error on pets; "
        "do not change it by more than chance on birds.",
        "The lowest log loss has DAC on pets (by more than chance) and birds. Chance may explain the rest.",
    ]


def test_the_figure_shows_the_calibrator_to_go_by_alone(
    make_arguments: Callable[..., dict[str, Any]], make_run: Callable[..., RunResults], tmp_path: Path
) -> None:
    made = make_arguments("one")
    made["probabilities"]["another"] = made["probabilities"]["none"]
    text = write_report([replace(make_run(), sets=[SetResult(**made)])], tmp_path / "a.html").read_text("utf-8")
    said = text[text.index("Calibration error: lower is better. one") :]
    said = said[: said.index("<")]
    assert "one, CoOp, temperature scaling" in said
    assert "another" not in said


def test_no_calibrator_may_be_the_best(
    make_arguments: Callable[..., dict[str, Any]], make_run: Callable[..., RunResults]
) -> None:
    made = make_arguments("one", overconfidence=1.0, leftover=3.0)
    found = effects(measure_run(replace(make_run(), sets=[SetResult(**made)])))
    assert [(one.lowest, one.best, one.verdict) for one in found] == [("none", False, "hurts")]
    assert in_words(found)[-1] == "The lowest log loss has no calibrator on one (by more than chance)."
    made["probabilities"]["temperature"] = made["probabilities"]["none"].copy()
    found = effects(measure_run(replace(make_run(), sets=[SetResult(**made)])))
    assert in_words(found)[-1] == "The lowest log loss has no calibrator on one. Chance may explain that."


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


def test_the_page_shows_calibrators_weights_and_unknown_images(
    tmp_path: Path, make_arguments: Callable[..., dict[str, Any]], make_run: Callable[..., RunResults]
) -> None:
    one_set = replace(make_run(), sets=[SetResult(**make_arguments("one"))])
    part = {"part": "all", "n": 7, "tuned": 0.1, "zero_shot": 0.2, "unit": "cosine"}
    weight = {"part": "all", "n": 7, "mean_weight": 0.93, "correlation": float("nan")}
    seen = Behaviour("emoji/new", [part], [Weights("dac", [weight])], 3, 10, [("<owl>", 0.88)])
    page = write_report([replace(one_set, behaviour=[seen], unknown=ROWS)], tmp_path / "report.html")
    text = " ".join(page.read_text(encoding="utf-8").split())
    for shown in ("Which calibrator helps", "What calibrators for new classes would do", "&lt;owl&gt; 0.880"):
        assert shown in text
    assert "<td>–</td><td>–</td> <td>0.930</td><td>–</td>" in text  # nothing of CAC, which was not given
    for shown in ("Images of none of the classes", "81.0 %", "confidence after temperature scaling"):
        assert shown in text


KNOWN = {"auroc": Estimate(0.81, 0.7, 0.9), "fpr95": Estimate(0.4, 0.3, 0.5)}
ROWS = [
    UnknownRow("emoji/unknown", "emoji", "energy", 40, 60, KNOWN),
    UnknownRow(
        "emoji/unknown", "emoji", "confidence, temperature", 40, 60, {**KNOWN, "passing": Estimate(0.12, 0.1, 0.2)}
    ),
]


def test_what_is_said_of_images_of_none_of_the_classes() -> None:
    (said,) = unknown.in_words(ROWS, "temperature")
    assert said == (
        "Of an image of a class and one of emoji/unknown, the first scores higher 81 % of the time (70–90 %) by energy "
        "(log-sum-exp of the logits), the best score here. Where at most 5 % of answers may be wrong, going by the "
        "confidence after temperature scaling, 12 % of these images (10–20 %) would still be answered."
    )
    assert "answered" not in unknown.in_words(ROWS)[0]
    guessing = replace(ROWS[0], measures={"auroc": Estimate(0.55, 0.45, 0.65)})
    assert unknown.in_words([guessing])[0].startswith("No score is shown to tell images of emoji/unknown")
    assert USUAL == RISK  # of the threshold, in the words


def test_nothing_is_said_of_calibrators_where_there_is_none(
    tmp_path: Path, make_arguments: Callable[..., dict[str, Any]], make_run: Callable[..., RunResults]
) -> None:
    made = make_arguments("one")
    del made["probabilities"]["temperature"]
    page = write_report([replace(make_run(), sets=[SetResult(**made)])], tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    assert "Which calibrator helps" not in text
    assert "Images of none of the classes" not in text
