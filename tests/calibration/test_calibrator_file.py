"""Files of calibrators: two formats, one content, and one line for everything that is wrong with them."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from calibrant.calibration import VectorScaling, load
from calibrant.calibration.calibrator_file import KEY, has_arrays, state_digest
from calibrant.errors import InputError

RNG = np.random.default_rng(0)
FITTED = VectorScaling().fit(RNG.normal(size=(60, 3)) + 2 * np.eye(3)[np.arange(60) % 3], np.arange(60) % 3)


def test_both_formats_hold_every_digit(tmp_path):
    for name in ("v.json", "v.safetensors"):
        FITTED.save(tmp_path / name)
        again = load(tmp_path / name)
        assert again.weights_.dtype == np.float64
        assert (again.weights_ == FITTED.weights_).all()
        assert state_digest(again.state()) == state_digest(FITTED.state())
    assert load_file(tmp_path / "v.safetensors")["0"].tolist() == FITTED.weights_.tolist()


def test_the_digest_sees_arrays_parameters_and_classes():
    digests = {state_digest(FITTED.state())}
    changed = VectorScaling(weight=1.0)
    changed.restore({"weights_": FITTED.weights_, "intercepts_": FITTED.intercepts_}, FITTED.classes_)
    digests.add(state_digest(changed.state()))
    changed = VectorScaling()
    changed.restore({"weights_": FITTED.weights_ + 1e-9, "intercepts_": FITTED.intercepts_}, FITTED.classes_)
    digests.add(state_digest(changed.state()))
    changed.restore({"weights_": FITTED.weights_, "intercepts_": FITTED.intercepts_}, ["a", "b", "c"])
    digests.add(state_digest(changed.state()))
    assert len(digests) == 4
    assert has_arrays(FITTED.state())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_": {"array": [1.0, 2.0], "dtype": "<f8", "shape": [2]}}, "must have shape [3]"),
        ({"weights_": {"array": [1.0, 2.0], "dtype": "<f8", "shape": [3]}}, "an array is missing or broken"),
        ({"weights_": {"array": "7"}}, "an array is missing or broken"),
        ({"weights_": "none"}, "weights_"),
    ],
)
def test_wrong_arrays_are_one_line(tmp_path, change, message):
    file = tmp_path / "v.json"
    FITTED.save(file)
    content = json.loads(file.read_text())
    content["fitted"] |= change
    file.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        load(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_safetensors_are_no_calibrators(tmp_path):
    save_file({"logits": np.eye(2)}, tmp_path / "p.safetensors")
    with pytest.raises(InputError, match="does not hold a calibrator"):
        load(tmp_path / "p.safetensors")
    save_file({}, tmp_path / "q.safetensors", {KEY: "{"})
    with pytest.raises(InputError, match="truncated"):
        load(tmp_path / "q.safetensors")
    FITTED.save(tmp_path / "v.safetensors")
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "v.safetensors").read_bytes()[:200])
    with pytest.raises(InputError, match="truncated"):
        load(tmp_path / "half.safetensors")
    with pytest.raises(InputError, match="cannot read"):
        load(tmp_path / "missing.safetensors")
