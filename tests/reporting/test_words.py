"""The sentences of the first box follow from the numbers and claim nothing inside an interval."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from explained_sets import make

from calibrant import metrics
from calibrant.reporting import RunResults, SetResult
from calibrant.reporting.gallery import gallery
from calibrant.reporting.measures import measure_run
from calibrant.reporting.next_steps import next_steps
from calibrant.reporting.words import choose_lead, first_box, percent

Arguments = Callable[..., dict[str, Any]]


def box(*runs: RunResults) -> dict[str, str]:
    return {point.about: point.text for point in first_box([measure_run(run) for run in runs])}


def single(one: SetResult, *more: SetResult, title: str = "CoOp") -> RunResults:
    return RunResults(title, "coop", "tiny", "emoji", [one, *more])


def test_the_numbers_are_those_of_the_data(make_arguments: Arguments) -> None:
    drawn = make_arguments(n=800)
    raw, labels = drawn["probabilities"]["none"], drawn["labels"]
    said = box(single(SetResult(**drawn)))
    right = np.mean(raw.argmax(1) == labels)
    assert f"right {percent(float(right))} of the time" in said["How often it is right"]
    assert "800 images" in said["How often it is right"]
    near = np.abs(raw.max(1) - 0.9) <= 0.05
    share = np.mean(raw.argmax(1)[near] == labels[near])
    trust = said["Can its confidence be believed"]
    assert f"right {percent(float(share))} of the time" in trust
    assert "less often than it says" in trust
    assert "which fits" in trust  # after temperature scaling
    scaled = metrics.summary_with_intervals(drawn["probabilities"]["temperature"], labels)["ece_debiased"]
    shown = f"to {scaled['value']:.3f} ({scaled['low']:.3f}–{scaled['high']:.3f})"
    assert "lowers the calibration error from" in said["What temperature scaling does"]
    assert shown in said["What temperature scaling does"]


def test_equal_methods_cannot_be_told_apart(make_set: Callable[..., SetResult]) -> None:
    near = [single(make_set(n=400, noise=noise), title=title) for title, noise in (("A", 0.0), ("B", 0.02))]
    text = box(*near)["Which method"]
    assert "cannot be told apart" in text
    assert "less accurate" not in text


def test_a_worse_method_is_named(make_set: Callable[..., SetResult]) -> None:
    runs = [single(make_set(n=800, noise=noise), title=title) for title, noise in (("good", 0.0), ("bad", 2.0))]
    text = box(*runs)["Which method"]
    assert text.startswith("good is right most often")
    assert "bad (" in text
    assert "is less accurate, by more than chance explains" in text


def test_methods_on_other_images_are_not_compared(
    make_set: Callable[..., SetResult], make_arguments: Arguments
) -> None:
    other = SetResult(**make_arguments(n=400, noise=2.0) | {"ids": [f"other-{index}" for index in range(400)]})
    text = box(single(make_set(n=400)), single(other, title="B"))["Which method"]
    assert "B (" not in text


def test_no_gain_over_the_zero_shot_model_is_not_called_one(make_arguments: Arguments) -> None:
    drawn = make_arguments(n=400)
    run = single(SetResult(**drawn | {"zero_shot": drawn["probabilities"]["none"]}))
    assert "too close to call" in box(run)["How often it is right"]
    assert any("not clearly helped" in step for step in next_steps(measure_run(run)))


def test_a_useless_calibrator_is_not_praised(make_arguments: Arguments) -> None:
    drawn = make_arguments(n=400)
    raw, calibrated = drawn["probabilities"].values()
    same = SetResult(**drawn | {"probabilities": {"none": raw, "temperature": raw}})
    assert "does not clearly change" in box(single(same))["What temperature scaling does"]
    run = single(SetResult(**drawn | {"probabilities": {"none": calibrated, "temperature": raw}}))
    assert "raises the calibration error" in box(run)["What temperature scaling does"]
    assert any("Leave out temperature scaling" in step for step in next_steps(measure_run(run)))


def test_a_calibrator_without_an_optimum_is_not_recommended(make_arguments: Arguments) -> None:
    run = replace(single(SetResult(**make_arguments(n=2000))), unsettled=["temperature"])
    steps = " ".join(next_steps(measure_run(run)))
    assert "Fit temperature scaling on more held-out images" in steps
    assert "Use the confidence after temperature scaling" not in steps
    settled = " ".join(next_steps(measure_run(single(SetResult(**make_arguments(n=2000))))))
    assert "Use the confidence after temperature scaling" in settled


def test_nobody_is_sent_to_wrong_answers_where_there_are_none(make_arguments: Arguments) -> None:
    drawn = make_arguments(n=40)
    right = drawn | {"labels": drawn["probabilities"]["none"].argmax(axis=1)}
    assert any("most trusted wrong answers" in step for step in next_steps(measure_run(single(SetResult(**drawn)))))
    run = measure_run(single(SetResult(**right)))
    assert not any("most trusted wrong answers" in step for step in next_steps(run))
    assert run.main.calibration_change.sign == 0  # forty right answers do not tell which confidence fits better


def test_what_was_not_explained_is_a_next_step(make_arguments: Arguments) -> None:
    run = single(SetResult(**make_arguments(n=400)))
    assert any("calibrant explain" in step for step in next_steps(measure_run(run)))
    explained = replace(run, explained=[make()])
    assert not any("calibrant explain" in step for step in next_steps(measure_run(explained)))


@pytest.mark.parametrize(("sure", "shown"), [(0.9995, 0), (0.99, 8)])
def test_answers_it_is_sure_of_are_not_called_the_least_trusted(
    make_arguments: Arguments, sure: float, shown: int
) -> None:
    drawn = make_arguments(n=40)
    table = np.full((40, 10), (1 - sure) / 9)
    table[np.arange(40), drawn["labels"]] = sure
    made = gallery(measure_run(single(SetResult(**drawn | {"probabilities": {"none": table}}))).main)
    assert made is not None
    assert (len(made.trusted_wrong), len(made.least_trusted)) == (0, shown)


def test_without_a_calibrator_there_is_no_sentence_about_it(make_arguments: Arguments) -> None:
    drawn = make_arguments(n=400)
    run = single(SetResult(**drawn | {"probabilities": {"none": drawn["probabilities"]["none"]}}))
    assert not any("temperature" in text for text in box(run).values())
    assert any("Fit temperature scaling" in step for step in next_steps(measure_run(run)))


def test_overconfidence_on_shifted_images_is_named(make_set: Callable[..., SetResult]) -> None:
    shifted = make_set("emoji/sketch", "ood", seed=5, n=600, leftover=3.0)
    run = single(make_set(n=400), shifted)
    assert "too sure of itself there even after temperature scaling" in box(run)["Shifted images"]
    assert any("images like emoji/sketch" in step for step in next_steps(measure_run(run)))
    fine = make_set("emoji/sketch", "ood", seed=5, n=600, leftover=1.0)
    assert "fits how often it is right" in box(single(make_set(n=400), fine))["Shifted images"]


def test_few_answers_are_not_judged(make_set: Callable[..., SetResult]) -> None:
    assert "too rare" in box(single(make_set(n=30)))["Can its confidence be believed"]


def test_the_zero_shot_model_never_leads(make_set: Callable[..., SetResult]) -> None:
    tuned = measure_run(single(make_set(n=200, noise=2.0)))
    zero = measure_run(RunResults("zero-shot", "zero-shot", "tiny", "emoji", [make_set(n=200)]))
    assert choose_lead([zero, tuned]) is tuned
    assert "without tuning" in box(zero.run)["What this is"]
