"""Chains: order, promises, fit on what comes before, files."""

import numpy as np
import pytest
from sklearn.base import clone

from calibrant import Predictions
from calibrant.calibration import (
    Chain,
    DistanceAware,
    HistogramBinning,
    TemperatureScaling,
    Uncalibrated,
    VectorScaling,
    calibrator,
    load,
)
from calibrant.errors import InputError


def drawn(samples=300, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=samples)
    text, before = rng.normal(size=(2, classes, 8))
    return Predictions(
        logits=4 * (rng.normal(size=(samples, classes)) + 2 * np.eye(classes)[labels]),
        labels=labels,
        classes=[f"class {i}" for i in range(classes)],
        text_features=text,
        zero_shot_text_features=before,
        base_text_features=text[:2],
        zero_shot_base_text_features=before[:2],
    )


PREDICTIONS = drawn()


def test_each_part_is_fitted_on_what_the_one_before_it_gives():
    weighted = DistanceAware().fit(PREDICTIONS).transform(PREDICTIONS)
    expected = TemperatureScaling().fit(weighted)
    chain = calibrator("dac+temperature").fit(PREDICTIONS)
    assert chain.parts_[1].temperature_ == expected.temperature_
    assert chain(PREDICTIONS) == pytest.approx(expected(weighted), abs=1e-12)
    assert chain.transform(PREDICTIONS).logits == pytest.approx(expected.transform(weighted).logits)


def test_shifted_predictions_pass_through_the_parts_as_well():
    shifted = drawn(seed=1)
    weighted = DistanceAware().fit(PREDICTIONS)
    chain = calibrator("dac+ts-p").fit(PREDICTIONS, shifted=[shifted])
    alone = calibrator("ts-p").fit(weighted.transform(PREDICTIONS), shifted=[weighted.transform(shifted)])
    assert chain.parts_[1].temperature_ == alone.temperature_


def test_promises_are_those_that_all_parts_make():
    keeps = calibrator("dac+temperature")
    assert (keeps.keeps_argmax, keeps.needs_labels, keeps.transfers) == (True, True, True)
    changes = calibrator("dac+vector+histogram")
    assert (changes.keeps_argmax, changes.transfers) == (False, False)
    assert not calibrator("dac+zs-norm").needs_labels
    assert set(calibrator("dac+cac").reads) == {*calibrator("dac").reads, "zero_shot_logits"}


def test_a_chain_that_ends_in_probabilities_has_no_logits():
    chain = calibrator("temperature+histogram").fit(PREDICTIONS)
    assert chain(PREDICTIONS).sum(axis=1) == pytest.approx(np.ones(len(PREDICTIONS)))
    with pytest.raises(InputError, match="'histogram' ends in probabilities"):
        chain.transform(PREDICTIONS)


@pytest.mark.parametrize(
    "parts", [[HistogramBinning(), TemperatureScaling()], [], [calibrator("best-of"), Uncalibrated()]]
)
def test_a_wrong_order_is_refused(parts):
    with pytest.raises(InputError, match=r"at least one|can only be the last"):
        Chain(parts).fit(PREDICTIONS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("histogram+temperature", "'histogram' ends in probabilities"),
        ("dac+temprature", "did you mean 'temperature'"),
        ("dac+", "unknown calibrator ''"),
    ],
)
def test_wrong_names_are_refused(name, message):
    with pytest.raises(InputError, match=message):
        calibrator(name)


def test_parameters_go_to_the_part_that_is_named():
    assert calibrator("dac+temperature", dac={"k": 2}).parts[0].k == 2
    with pytest.raises(InputError, match="unknown part of the chain"):
        calibrator("dac+temperature", cac={"k": 2})


def test_a_chain_can_be_cloned_and_leaves_its_parts_alone():
    parts = [Uncalibrated(), TemperatureScaling()]
    chain = Chain(parts).fit(PREDICTIONS)
    assert not hasattr(parts[1], "temperature_")
    copy = clone(chain)
    assert [type(part) for part in copy.parts] == [Uncalibrated, TemperatureScaling]
    assert not hasattr(copy, "parts_")


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
@pytest.mark.parametrize("name", ["dac+temperature", "temperature+vector+histogram", "none+best-of"])
def test_the_file_gives_the_same_chain(tmp_path, name, ending):
    chain = calibrator(name).fit(PREDICTIONS)
    chain.save(tmp_path / f"chain{ending}")
    again = load(tmp_path / f"chain{ending}")
    assert again.name == name
    assert (again(PREDICTIONS) == chain(PREDICTIONS)).all()


def test_a_chain_inside_a_chain():
    inner = Chain([DistanceAware(), TemperatureScaling()])
    outer = Chain([inner, VectorScaling()]).fit(PREDICTIONS)
    assert outer(PREDICTIONS) == pytest.approx(calibrator("dac+temperature+vector").fit(PREDICTIONS)(PREDICTIONS))
