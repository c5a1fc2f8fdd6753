"""Prediction sets survive being written and read."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from calibrant.calibration import (
    AdaptiveSets,
    ClassConditionalSets,
    HistogramBinning,
    RegularizedSets,
    TemperatureScaling,
    ThresholdSets,
    load_sets,
    save_sets,
)
from calibrant.calibration.conformal import ConformalSets
from calibrant.errors import CalibrantWarning, InputError

DRAW = np.random.default_rng(3)
LOGITS = DRAW.normal(size=(300, 4)) * 3
LABELS = (LOGITS + DRAW.normal(size=LOGITS.shape)).argmax(axis=1)


def kinds() -> list[ConformalSets]:
    return [
        ThresholdSets(0.2),
        AdaptiveSets(0.2, seed=5, calibrator=TemperatureScaling().fit(LOGITS[:100], LABELS[:100])),
        RegularizedSets(0.2, penalty=0.05, free=2),
        ClassConditionalSets(AdaptiveSets(0.2, calibrator=HistogramBinning().fit(LOGITS[:100], LABELS[:100]))),
    ]


@pytest.mark.parametrize("ending", ["json", "safetensors"])
@pytest.mark.parametrize("sets", kinds(), ids=lambda sets: sets.name)
def test_what_is_read_answers_as_what_was_written(sets: ConformalSets, ending: str, tmp_path: Path) -> None:
    fitted = sets.fit(LOGITS[100:200], LABELS[100:200])
    save_sets(fitted, file := tmp_path / f"sets.{ending}")
    again = load_sets(file)
    assert type(again) is type(sets)
    np.testing.assert_array_equal(again.sets(LOGITS[200:]), fitted.sets(LOGITS[200:]))
    assert again.threshold_ == fitted.threshold_
    assert again.classes_ == fitted.classes_


def test_a_threshold_that_lets_everything_in(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrantWarning)
        fitted = ThresholdSets(0.1).fit(LOGITS[:3], LABELS[:3])
    save_sets(fitted, file := tmp_path / "sets.json")
    assert load_sets(file).sets(LOGITS).all()


def test_bad_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not fitted"):
        save_sets(ThresholdSets(), tmp_path / "none.json")
    TemperatureScaling().fit(LOGITS, LABELS).save(other := tmp_path / "temperature.json")
    with pytest.raises(InputError, match="does not hold prediction sets"):
        load_sets(other)
    save_sets(ThresholdSets(0.2).fit(LOGITS, LABELS), file := tmp_path / "sets.json")
    state = json.loads(file.read_text())
    for change, said in (
        ({"sets": "thrr"}, "did you mean 'thr'"),
        ({"parameters": {"alpha": 0.2, "beta": 1}}, "value is missing or broken"),
        ({"thresholds": ["high"]}, "value is missing or broken"),
    ):
        file.write_text(json.dumps(state | change))
        with pytest.raises(InputError, match=said):
            load_sets(file)
