"""Parametrised temperature scaling: gradient, a case that one temperature cannot fit, promises."""

import numpy as np
import pytest
from scaling_toy import drawn
from scipy.optimize import approx_fprime

from calibrant.arrays import softmax
from calibrant.calibration import ParametrizedTemperature, TemperatureScaling
from calibrant.calibration.parametrized_temperature import (
    backward,
    first_layers,
    forward,
    layer_shapes,
    squared_error,
    unpacked,
)
from calibrant.errors import InputError


def two_scales(seed, samples=1500):
    """Half of the samples have logits ten times as large as they should be."""
    logits, labels = drawn(seed, samples)
    return logits * np.where(np.arange(samples) % 2, 1.0, 10.0)[:, None], labels


def test_the_squared_error_and_its_slope():
    logits, labels = drawn(0, samples=50, classes=3)
    inverses = np.linspace(0.1, 3, 50)
    errors, slopes = squared_error(logits, labels, inverses)
    plain = ((softmax(logits * inverses[:, None]) - np.eye(3)[labels]) ** 2).sum(axis=1)
    assert errors == pytest.approx(plain, abs=1e-12)
    later = squared_error(logits, labels, inverses + 1e-6)[0]
    assert slopes == pytest.approx((later - errors) / 1e-6, abs=1e-5)


def test_the_gradient_of_the_network():
    rng = np.random.default_rng(0)
    inputs, target, shapes = rng.normal(size=(20, 4)), rng.normal(size=20), layer_shapes(4)
    parameters = rng.normal(size=sum(int(np.prod(shape)) for shape in shapes))

    def loss(values):
        return float(((forward(inputs, unpacked(values, shapes))[0] - target) ** 2).sum())

    layers = unpacked(parameters, shapes)
    output, hidden = forward(inputs, layers)
    slopes = backward(2 * (output - target), inputs, hidden, layers)
    ours = np.concatenate([slope.ravel() for slope in slopes])
    assert ours == pytest.approx(approx_fprime(parameters, loss, 1e-6), rel=1e-3, abs=1e-3)


def test_it_starts_at_temperature_scaling():
    logits, _ = drawn(1)
    assert (forward(logits, first_layers(layer_shapes(5), 0))[0] == 0).all()


def test_fits_what_one_temperature_cannot():
    logits, labels = two_scales(2)
    fitted, scaling = ParametrizedTemperature().fit(logits, labels), TemperatureScaling().fit(logits, labels)
    temperatures = fitted.temperatures(logits)
    assert np.median(temperatures[::2]) > 4 * np.median(temperatures[1::2])
    new, of_new = two_scales(3)
    rows = np.arange(len(new))
    losses = [-np.log(one.predict_proba(new)[rows, of_new]).mean() for one in (fitted, scaling)]
    assert losses[0] < losses[1] - 0.05


def test_does_no_harm_where_one_temperature_is_right():
    logits, labels = drawn(4)
    fitted = ParametrizedTemperature().fit(3 * logits, labels)
    new, of_new = drawn(5)
    rows = np.arange(len(new))
    ours = -np.log(fitted.predict_proba(3 * new)[rows, of_new]).mean()
    best = -np.log(softmax(new)[rows, of_new]).mean()
    assert ours < best + 0.01


def test_keeps_every_answer_and_is_bounded():
    logits, labels = two_scales(6, samples=300)
    fitted = ParametrizedTemperature().fit(logits, labels)
    extreme = 1e6 * logits
    assert (fitted.predict_proba(extreme).argmax(axis=1) == extreme.argmax(axis=1)).all()
    assert np.abs(np.log(fitted.temperatures(extreme) / fitted.temperature_)).max() <= 3 + 1e-9


def test_reads_as_many_logits_as_there_are():
    logits, labels = drawn(7, samples=200, classes=12)
    fitted = ParametrizedTemperature(top=10).fit(logits, labels)
    with pytest.raises(InputError, match="reads the 10 largest logits, but there are 5 classes"):
        fitted.predict_proba(logits[:, :5])
    assert ParametrizedTemperature(top=10).fit(logits[:, :3], labels % 3).inputs_.shape == (2, 3)


def test_constant_logits_do_not_divide_by_zero():
    logits = np.tile([[2.0, 1.0, 0.0]], (30, 1))
    fitted = ParametrizedTemperature().fit(logits, np.arange(30) % 4 % 3)
    assert np.isfinite(fitted.predict_proba(logits)).all()


@pytest.mark.parametrize(("name", "value"), [("top", 0), ("top", 1.5), ("decay", -1)])
def test_impossible_parameters_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} of calibrator 'parametrized-temperature'"):
        ParametrizedTemperature(**{name: value}).fit(*drawn(0, samples=30))
