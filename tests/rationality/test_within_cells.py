"""How sure a model is in each cell, and what its confidence tells apart."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from calibrant.errors import InputError
from calibrant.rationality import right_reason_auroc, summary, within_cells


def make_answers(images: int = 300) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    confidence = draw.random(images).round(2)
    mass = np.clip(0.5 * confidence + 0.5 * draw.random(images), 0, 1)
    mass[::25] = np.nan
    return confidence, draw.random(images) < confidence, mass


def test_cells_hold_all_images_and_their_confidences() -> None:
    confidence, correct, mass = make_answers()
    found = within_cells(confidence, correct, mass, resamples=20)
    plain = summary(correct, mass)
    known = found["valid"]["n"] + found["invalid"]["n"]
    assert known + found["undefined"]["n"] == found["all"]["n"] == 300
    for cell in ("RR", "RW", "WR", "WW"):
        assert found[cell]["n"] == pytest.approx(plain[cell] * known)
        right, valid = cell[0] == "R", cell[1] == "R"
        here = (correct == right) & ((mass >= 0.5) == valid) & ~np.isnan(mass)
        mean = confidence[here].mean()
        assert found[cell]["mean_confidence"].value == pytest.approx(mean)
        assert found[cell]["accuracy"].value == right
        assert found[cell]["ece"].value == pytest.approx(1 - mean if right else mean)
        assert found[cell]["ece"].low < found[cell]["ece"].value < found[cell]["ece"].high


def test_the_error_where_evidence_is_valid_is_that_of_those_images() -> None:
    confidence, correct, mass = make_answers()
    found = within_cells(confidence, correct, mass, bins=4, resamples=20)
    for name, here in (("valid", mass >= 0.5), ("invalid", mass < 0.5), ("all", np.ones(300, dtype=bool))):
        error = 0.0
        for low in (0, 0.25, 0.5, 0.75):
            inside = here & (confidence <= low + 0.25) & ((confidence > low) | (low == 0))
            error += abs(correct[inside].sum() - confidence[inside].sum()) / here.sum()
        assert found[name]["ece"].value == pytest.approx(error)


def test_empty_cells_have_no_values() -> None:
    found = within_cells([0.9, 0.8], [True, True], [0.9, 0.8], resamples=10)
    assert found["WW"]["n"] == 0
    assert np.isnan(found["WW"]["ece"].value)
    assert not found["WW"]["accuracy"].known


def test_areas_are_those_of_scikit_learn() -> None:
    confidence, correct, mass = make_answers()
    found = right_reason_auroc(confidence, correct, mass, resamples=50)
    known = ~np.isnan(mass)
    valid, right = mass[known] >= 0.5, correct[known]
    score = confidence[known]
    assert found["right_reason"].value == pytest.approx(roc_auc_score(right & valid, score))
    assert found["answer"].value == pytest.approx(roc_auc_score(right, score))
    assert found["reason_of_right"].value == pytest.approx(roc_auc_score(valid[right], score[right]))
    for one in found.values():
        assert one.low < one.value < one.high
    twice = [np.repeat(values, 2) for values in (confidence, correct, mass)]
    again = right_reason_auroc(*twice, units=np.repeat(np.arange(300), 2), resamples=50)
    assert [one.value for one in again.values()] == pytest.approx([one.value for one in found.values()])
    assert again["right_reason"].low == pytest.approx(found["right_reason"].low, abs=0.02)  # twice as many tell no more


def test_areas_need_both_sides_and_rise_with_any_score_of_the_same_order() -> None:
    confidence, correct, mass = make_answers()
    assert np.isnan(right_reason_auroc([0.9, 0.1], [True, True], [0.9, 0.9], resamples=5)["right_reason"].value)
    one, other = (right_reason_auroc(score, correct, mass, resamples=5) for score in (confidence, 3 * confidence - 7))
    assert one == other


def test_bad_confidence_is_refused() -> None:
    with pytest.raises(InputError, match="probability from 0 to 1"):
        within_cells([1.2], [True], [0.5])
    with pytest.raises(InputError, match="confidence must have shape"):
        within_cells([0.2, 0.3], [True], [0.5])
    with pytest.raises(InputError, match="confidence hold a NaN"):
        right_reason_auroc([np.nan], [True], [0.5])
