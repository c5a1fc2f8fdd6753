"""Every sample is calibrated by a copy that has not learned from it."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant import Predictions
from calibrant.calibration import HistogramBinning, TemperatureScaling, cross_fitted
from calibrant.calibration.cross_fitting import fold_of
from calibrant.errors import InputError


def drawn(n: int) -> Predictions:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, n)
    return Predictions(logits=3 * generator.normal(size=(n, 3)) + 2 * np.eye(3)[labels], labels=labels)


def test_each_part_is_calibrated_by_the_others() -> None:
    predictions, units = drawn(120), np.arange(120) // 4
    table = cross_fitted(TemperatureScaling(), predictions, folds=3, units=units, seed=1)
    fold = fold_of(units, 120, 3, seed=1)
    for number in range(3):
        left_out = fold == number
        expected = TemperatureScaling().fit(predictions.subset(~left_out))(predictions.subset(left_out))
        assert (table[left_out] == expected).all()


def test_what_depends_on_each_other_stays_together() -> None:
    units = np.random.default_rng(0).integers(0, 11, 200)
    fold = fold_of(units, 200, 4, seed=0)
    assert all(len(set(fold[units == unit])) == 1 for unit in units)
    assert set(fold) == {0, 1, 2, 3}


def test_the_given_calibrator_is_not_changed() -> None:
    fitted = TemperatureScaling().fit(drawn(50))
    before = fitted.temperature_
    cross_fitted(fitted, drawn(120))
    assert fitted.temperature_ == before
    assert not hasattr(HistogramBinning(), "classes_")


@pytest.mark.parametrize("folds", [1, 6])
def test_too_few_samples_are_one_line(folds: int) -> None:
    with pytest.raises(InputError, match="cannot be divided"):
        cross_fitted(TemperatureScaling(), drawn(5), folds=folds)
