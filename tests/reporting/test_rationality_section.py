"""The section on evidence: what is said, what is shown, and what stays out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from explained_sets import NOTHING, estimate, make, model

from calibrant.metrics import Estimate
from calibrant.reporting import write_report
from calibrant.reporting.page import PICTURE_BUDGET
from calibrant.reporting.rationality import CELL_WORDS, ExplainedSet, in_words, within
from calibrant.reporting.results import RunResults


@pytest.fixture
def section(one_run: RunResults, tmp_path: Path) -> Callable[..., str]:
    def write(*sets: ExplainedSet) -> str:
        page = write_report([replace(one_run, explained=sets)], tmp_path / "report.html").read_text(encoding="utf-8")
        assert len(page) < 3_000_000
        found = re.search(r"<section>\s*<h2>Right for the right reason\?</h2>.*?</section>", page, re.DOTALL)
        return found[0] if found else ""

    return write


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("\u2060", "").replace("\u00a0", " ")


def test_cells_and_measures_of_both_models_stand_side_by_side(section: Callable[..., str]) -> None:
    html = section(make())
    said = text(html)
    assert "is no proof of what the model used" in said
    zero_shot, tuned = said.index("The zero-shot model"), said.index("The tuned model")
    assert zero_shot < tuned
    assert "Right answer 10.0 % 5.0–15.0 40.0 % 35.0–45.0" in said[zero_shot:tuned]
    assert "Right answer 30.0 % 25.0–35.0 20.0 % 15.0–25.0" in said[tuned:]
    assert "PT of the right answers, the share whose evidence lies on the object 20.0 % 15.0–25.0 60.0 %" in said
    assert "+20.0 +19.0 to +21.0 more" in said
    assert "no more often than wrong ones −10.0 −15.0 to −5.0 +10.0 +5.0 to +15.0" in said
    assert (
        "Of its right answers 60.0 % (55.0–65.0) rest on the object by this explainer. Right answers rest on it" in said
    )
    assert "Tuning made more of them rest on the object." in said
    for name in ("zero-shot", "tuned"):
        assert f"The {name} model: 3 of 1000 maps point nowhere" in said
    assert "2 images are left out" in said
    assert "61 % of the time (56.0–66.0 %)" in said
    assert "<b>cat</b>" not in html


def test_maps_stand_beside_what_would_come_of_not_looking(section: Callable[..., str]) -> None:
    said = text(section(make()))
    assert "the same everywhere would get 20.0 %, a look at the centre 30.0 % 40.0 % 35.0–45.0 40.0 %" in said
    assert "than the middle of the image does +10.0 +8.0 to +12.0 +10.0 +8.0 to +12.0 – not estimated" in said


def test_confidence_is_told_cell_by_cell_with_its_calibrator(section: Callable[..., str]) -> None:
    tuned = model("tuned", 0.3) | {"calibrator": "temperature"}
    said = text(section(make(measured={"models": [tuned, model("zero-shot", 0.1)]})))
    assert (
        "Confidence Zero-shot as it is Tuned after temperature scaling Mean where right, on the object 60.0 %" in said
    )
    assert "Mean where wrong, elsewhere 60.0 % 55.0–65.0 n = 10 60.0 % 55.0–65.0 n = 10" in said
    assert "50 % is chance 72.0 % 67.0–77.0 72.0 % 67.0–77.0" in said


def test_wrong_reasons_come_first(section: Callable[..., str]) -> None:
    said = text(section(make(count=6)))
    places = [said.index(CELL_WORDS[cell]) for cell in ("RW", "RR")]
    assert places == sorted(places)
    assert "25 % of the relevance on the object" in said


def test_a_single_model_has_no_change(section: Callable[..., str]) -> None:
    said = text(section(make(models=1)))
    assert "The zero-shot model" not in said
    assert "tuned" not in said.lower()  # it may be the zero-shot model
    assert "Change, in points" not in said


def test_without_masks_nothing_is_claimed(section: Callable[..., str]) -> None:
    said = text(section(make(masks=False)))
    assert "There are no masks of the objects" in said
    assert CELL_WORDS["wrong"] in said
    assert "Right answers: 50.0 %." in said
    assert "4 of 1000 maps point nowhere." in said
    assert "with the object outlined" not in said
    assert "PT" not in said
    assert "of the relevance on the object" not in said


def test_what_has_no_value_is_a_dash(section: Callable[..., str]) -> None:
    empty = model("tuned", 0.3)
    empty["measures"] |= {"IR": NOTHING, "IR_minus_accuracy": NOTHING}
    empty["confidence"]["WR"] = {"n": 0, "mean_confidence": NOTHING, "ece": NOTHING}
    empty["auroc"] = {"reason_of_right": NOTHING}
    html = section(make(models=1, measured={"models": [empty]}))
    said = text(html)
    assert "the share that is right – nothing to count" in said
    assert "wrong, on the object – nothing to count n = 0" in said
    assert "50 % is chance – nothing to count" in said
    assert "of the time" not in said
    assert not re.search(r"\bnan\b|\bNone\b", said)


def test_a_change_of_nothing_is_a_dash(section: Callable[..., str]) -> None:
    differences = {name: estimate(0.2, 0.01) for name in model("tuned", 0.3)["measures"]} | {"PT": NOTHING}
    said = text(section(make(measured={"differences": differences})))
    assert "– nothing to compare" in said
    assert "Tuning made" not in said
    assert "cannot be told" not in said
    assert not re.search(r"\bnan\b|\bNone\b", said)


def test_right_answers_that_rest_on_it_less_often_are_called_so() -> None:
    assert "Right answers rest on it less often than wrong ones do." in in_words(make(models=1, right=0.1))


def test_what_people_said_and_what_was_learnt(section: Callable[..., str]) -> None:
    kappa = {"between": ["Ann", "<i>Bob</i>"], "kappa": estimate(0.7), "same": 0.9, "images": 50, "left_out": 1}
    judged = {
        "reviewers": ["Ann", "<i>Bob</i>"],
        "images": 60,
        "measures": {"PT": estimate(0.8), "IR": NOTHING},
        "agreement": [kappa, {**kappa, "between": ["Ann", "relevance mass"], "kappa": NOTHING}],
    }
    learnt = {"ece": 0.04, "ece_right_reason": 0.03, "ece_confidence_as_right_reason": 0.2}
    html = section(make(judged=judged, measured={"right_reason": learnt}))
    said = text(html)
    assert "(60 images): PT 80.0 % (75.0–85.0), IR unknown." in said
    assert "kappa 0.700 (0.650–0.750), 50 images; Ann and relevance mass: no kappa, 50 images" in said
    assert "its ECE is 0.030" in said
    assert "<i>Bob</i>" not in html


def test_pictures_that_do_not_fit_are_counted(section: Callable[..., str]) -> None:
    one = make(count=8)
    kept, left_out = within([one, one], 10 * len(one.pictures[0].source))
    assert (len(kept[0].pictures), left_out) == (8, 16 - sum(len(each.pictures) for each in kept))
    assert 1 <= len(kept[1].pictures) <= 3
    large = replace(one.pictures[0], source="data:image/jpeg;base64," + "A" * (PICTURE_BUDGET // 6))
    said = text(section(replace(one, pictures=(large,) * 8)))
    assert "6 further pictures were left out" in said


def test_several_sets_are_folded(section: Callable[..., str]) -> None:
    html = section(make(), make(masks=False))
    assert html.count("<details>") == 1
    assert section() == ""


def test_without_a_right_answer_nothing_is_said_of_reasons() -> None:
    one = make(models=1)
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    tuned = replace(one.tuned, measures={**one.tuned.measures, "PT": nothing})
    assert list(in_words(replace(one, models=(tuned,)))) == [
        "No answer is right, so nothing can be said of what right answers rest on."
    ]
