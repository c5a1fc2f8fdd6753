"""A confidence for "right for the right reason", learned with masks and used without them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from calibrant.errors import InputError
from calibrant.rationality import HeatMaps, RightReason, map_statistics, relevance_mass, resized, right_reason_summary

SETTINGS = {"explainer": "grad-cam", "target": "prediction"}
SIZE = 7


def make_study(images: int, seed: int) -> tuple[np.ndarray, HeatMaps, np.ndarray, np.ndarray]:
    """Make answers whose maps show the reason: one peak on the object, or relevance all over the place."""
    draw = np.random.default_rng(seed)
    confidence = draw.random(images)
    correct = draw.random(images) < confidence
    seen = draw.random(images) < 0.5
    maps = draw.random((images, SIZE, SIZE))
    maps[seen, 2:4, 2:4] += 8
    maps[0] = 1.0
    masks = np.zeros((images, SIZE, SIZE), dtype=bool)
    masks[:, 2:4, 2:4] = True
    named = HeatMaps(maps, [str(image) for image in range(images)], SETTINGS)
    return confidence, named, correct, relevance_mass(named.maps, masks)


def test_statistics_of_maps_by_hand() -> None:
    maps = np.zeros((4, 2, 5))
    maps[0, 0, 0] = 3  # one cell, in a corner
    maps[1] = [[0, 1, 1, 1, 0], [0, 1, 1, 1, 0]]  # around the centre
    maps[2, 1] = [5, 6, 5, 5, 5]
    maps[3] = 2
    found = map_statistics(HeatMaps(maps, list("abcd"), {}))
    np.testing.assert_allclose(found["entropy"][:2], [0, np.log(6) / np.log(10)], atol=1e-12)
    np.testing.assert_allclose(found["peak"][:3], [0.9, 0.4, 1 - (4 * 5 / 6 + 1) / 10])
    np.testing.assert_allclose(found["concentration"][:3], [1, 1 / 6, 6 / 26])
    squared = [(row - 0.5) ** 2 / 4 + (column - 2) ** 2 / 25 for row in range(2) for column in (1, 2, 3)]
    np.testing.assert_allclose(found["spread"][:2], [0, np.sqrt(np.mean(squared))], atol=1e-9)
    np.testing.assert_allclose(found["off_centre"][:2], [np.hypot(0.25, 0.4), 0], atol=1e-12)
    assert all(np.isnan(values[3]) for values in found.values())


def test_statistics_do_not_change_with_the_scale_of_the_explainer() -> None:
    maps = np.random.default_rng(0).random((5, 4, 4))
    one, other = (map_statistics(HeatMaps(values, list("abcde"), {})) for values in (maps, 1000 * maps - 3))
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, rtol=1e-3)


def test_it_finds_the_right_reason_without_masks() -> None:
    fitted = RightReason().fit(*make_study(800, 0))
    confidence, maps, correct, mass = make_study(800, 1)
    chance = fitted.predict(confidence, maps)
    assert np.isnan(chance).tolist() == [True] + [False] * 799
    found = right_reason_summary(chance, confidence, correct, mass)
    assert found["n"] == 799
    assert found["ece"] < 0.06  # the confidence is calibrated for "right", by construction
    assert found["ece_right_reason"] < 0.06
    assert found["ece_confidence_as_right_reason"] > 0.2
    assert found["auroc_right_reason"] > found["auroc_confidence"] + 0.1


def test_the_weights_are_those_of_a_penalised_logistic_regression() -> None:
    confidence, maps, correct, mass = make_study(150, 2)
    fitted = RightReason(penalty=2.0).fit(confidence, maps, correct, mass)
    known = ~np.isnan(mass)
    statistics = map_statistics(maps)
    columns = [np.log(confidence / (1 - confidence)), *statistics.values()]
    features = np.stack([(column - column[known].mean()) / column[known].std() for column in columns], axis=1)[known]
    event = (correct & (mass >= 0.5))[known]

    def loss(parameters: np.ndarray) -> float:
        score = features @ parameters[:-1] + parameters[-1]
        return float(np.logaddexp(0, np.where(event, -score, score)).sum() + parameters[:-1] @ parameters[:-1])

    best = minimize(loss, np.zeros(7), tol=1e-10).x
    np.testing.assert_allclose([*fitted.weights_, fitted.bias_], best, atol=2e-4)
    score = features @ fitted.weights_ + fitted.bias_
    np.testing.assert_allclose(fitted.predict(confidence, maps)[known], 1 / (1 + np.exp(-score)), atol=1e-12)


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    study = make_study(100, 3)
    fitted = RightReason(threshold=0.4).fit(*study)
    fitted.save(tmp_path / "reason.json")
    again = RightReason.load(tmp_path / "reason.json")
    np.testing.assert_array_equal(again.predict(*study[:2]), fitted.predict(*study[:2]))
    assert (again.threshold, again.settings_) == (0.4, SETTINGS)


def test_broken_files_are_named(tmp_path: Path) -> None:
    fitted = RightReason().fit(*make_study(50, 4))
    file = tmp_path / "reason.json"
    fitted.save(file)
    state = json.loads(file.read_text(encoding="utf-8"))
    for change, message in (
        ({"calibrator": "temperature"}, "does not hold a calibrator for the right reason"),
        ({"format": 9}, "another format"),
        ({"weights_": [1.0]}, "does not hold a whole calibrator"),
    ):
        file.write_text(json.dumps({**state, **change}), encoding="utf-8")
        with pytest.raises(InputError, match=rf"reason\.json.* {message}|reason\.json {message}"):
            RightReason.load(file)


def test_maps_made_for_something_else_are_refused() -> None:
    confidence, maps, correct, mass = make_study(50, 5)
    label = HeatMaps(maps.maps, maps.ids, {**SETTINGS, "target": "label"})
    with pytest.raises(InputError, match="explain the label"):
        RightReason().fit(confidence, label, correct, mass)
    fitted = RightReason().fit(confidence, maps, correct, mass)
    with pytest.raises(InputError, match="target is 'prediction' and 'label'"):
        fitted.predict(confidence, label)
    with pytest.raises(InputError, match="confidence must have shape"):
        fitted.predict(confidence[1:], maps)
    with pytest.raises(InputError, match="50 images"):
        right_reason_summary(confidence[1:], confidence, correct, mass)


def test_what_cannot_be_fitted_says_why() -> None:
    confidence, maps, correct, mass = make_study(50, 6)
    with pytest.raises(InputError, match="0 of 49 images with evidence are right for the right reason"):
        RightReason().fit(confidence, maps, np.zeros(50), mass)
    with pytest.raises(InputError, match="not of these heat maps"):
        RightReason().fit(confidence, maps, correct, np.ones(50))
    with pytest.raises(InputError, match="49 answers but 50 heat maps"):
        RightReason().fit(confidence[1:], maps, correct[1:], mass[1:])
    for wrong in ({"threshold": 2}, {"penalty": 0}):
        with pytest.raises(InputError):
            RightReason(**wrong)
    for unfitted in (lambda: RightReason().predict(confidence, maps), lambda: RightReason().save("a.json")):
        with pytest.raises(InputError, match="not fitted"):
            unfitted()


def test_a_map_that_says_nothing_leaves_the_confidence_alone() -> None:
    """Maps of one shape: the statistics do not vary, and only the confidence counts."""
    draw = np.random.default_rng(7)
    confidence = draw.random(200)
    one = resized(draw.random((1, 3, 3)), (SIZE, SIZE))
    maps = HeatMaps(np.repeat(one, 200, axis=0), [str(i) for i in range(200)], SETTINGS)
    fitted = RightReason().fit(confidence, maps, draw.random(200) < confidence, draw.random(200))
    np.testing.assert_allclose(fitted.weights_[1:], 0, atol=1e-9)
    np.testing.assert_array_equal(fitted.scales_[1:], 1)
    order = np.argsort(confidence)
    assert np.all(np.diff(fitted.predict(confidence, maps)[order]) >= 0)
