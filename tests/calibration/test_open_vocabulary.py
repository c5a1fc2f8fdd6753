"""Calibrators without calibration data, in chains with each other and with every other one."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant import Predictions
from calibrant.arrays import softmax
from calibrant.calibration import CALIBRATORS, ContrastAware, DistanceAware, TemperatureScaling, calibrator, load
from calibrant.errors import InputError
from calibrant.metrics import nll

pytestmark = pytest.mark.filterwarnings("ignore::calibrant.errors.CalibrantWarning")


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def predictions(seed=0, samples=400, classes=6, base=3):
    rng = np.random.default_rng(seed)
    before = unit(rng.normal(size=(classes, 16)))
    after = unit(before + 0.1 * rng.normal(size=before.shape))
    labels = rng.integers(0, classes, size=samples)
    images = unit(after[labels] + 0.6 * rng.normal(size=(samples, 16)))
    return Predictions(
        logits=12 * images @ after.T,
        zero_shot_logits=12 * images @ before.T,
        labels=labels,
        classes=[f"class {i}" for i in range(classes)],
        text_features=after,
        zero_shot_text_features=before,
        base_text_features=after[:base],
        zero_shot_base_text_features=before[:base],
        logit_scale=12,
        zero_shot_logit_scale=12,
        image_features=images,
        reference_image_features=images[:50],
        proximity=rng.random(samples),
    )


def test_dac_then_temperature():
    held_out, test = predictions(0), predictions(1)
    chain = calibrator("dac+temperature").fit(held_out)
    weighted = DistanceAware().fit(held_out).sample_weights(held_out)[:, None] * held_out.logits
    temperature = TemperatureScaling().fit(weighted, held_out.labels).temperature_
    assert chain.parts_[1].temperature_ == pytest.approx(temperature, rel=1e-6)
    expected = softmax(DistanceAware().sample_weights(test)[:, None] * test.logits / temperature)
    assert chain(test) == pytest.approx(expected, abs=1e-6)


def test_cac_then_temperature():
    held_out, test = predictions(0), predictions(1)
    chain = calibrator("cac+temperature", cac={"k": 5.0}).fit(held_out)
    weighted = ContrastAware(k=5.0).sample_weights(held_out)[:, None] * held_out.logits
    temperature = TemperatureScaling().fit(weighted, held_out.labels).temperature_
    expected = softmax(ContrastAware(k=5.0).sample_weights(test)[:, None] * test.logits / temperature)
    assert chain(test) == pytest.approx(expected, abs=1e-6)
    assert nll(chain(held_out), held_out.labels) <= nll(held_out.probabilities(), held_out.labels)


def test_dac_then_cac_compares_what_dac_gives_and_keeps_both_weights():
    held_out, test = predictions(0), predictions(1)
    chain = calibrator("dac+cac").fit(held_out)
    of_classes = DistanceAware().sample_weights(test)
    first = of_classes[:, None] * test.logits
    of_samples = 1.1 * np.exp(-np.abs(first - test.zero_shot_logits).mean(axis=1) / 15)
    assert chain(test) == pytest.approx(softmax(of_samples[:, None] * first), abs=1e-12)
    result = chain.transform(test)
    assert (result.columns["dac_weight"] == of_classes).all()
    assert result.columns["cac_weight"] == pytest.approx(of_samples, abs=1e-12)
    assert result.about["cac"]["reconstruction"] == "l1_mean"


@pytest.mark.parametrize("last", CALIBRATORS)
@pytest.mark.parametrize("first", ["dac", "cac", "zs-norm", "zero-shot-temperature"])
def test_every_other_calibrator_can_follow(first, last):
    held_out, test = predictions(0), predictions(1)
    chain = calibrator(f"{first}+{last}").fit(held_out)
    probs = chain(test)
    assert probs.shape == (400, 6)
    assert probs.sum(axis=1) == pytest.approx(np.ones(400), abs=1e-9)
    if chain.keeps_argmax:
        assert (probs.argmax(axis=1) == test.logits.argmax(axis=1)).all()


@pytest.mark.parametrize("name", ["dac+temperature", "cac+temperature", "dac+cac", "zs-norm+dac"])
def test_a_chain_is_stored_and_works_on_other_classes(name, tmp_path):
    chain = calibrator(name).fit(predictions(0))
    chain.save(tmp_path / "chain.json")
    again, other = load(tmp_path / "chain.json"), predictions(2, classes=9)
    assert (again(other) == chain(other)).all()
    assert set(again.reads) >= set(calibrator(name.partition("+")[0]).reads)


def test_what_a_chain_reads_is_what_its_parts_read():
    assert calibrator("dac+temperature").reads == DistanceAware.reads
    assert calibrator("cac+zs-norm").reads == ("zero_shot_logits",)
    bare = Predictions(logits=np.eye(3), labels=[0, 1, 2])
    with pytest.raises(InputError, match="calibrator 'cac' needs zero_shot_logits"):
        calibrator("temperature+cac").fit(Predictions(logits=np.zeros((3, 3)), labels=bare.labels))
