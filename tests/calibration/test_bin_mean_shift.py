"""Bin mean shift against one calibrator per level of proximity, fitted by hand."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone

from calibrant import Predictions
from calibrant.calibration import (
    BBQ,
    BinMeanShift,
    HistogramBinning,
    IsotonicRegression,
    MultiIsotonic,
    TemperatureScaling,
    load,
)
from calibrant.errors import InputError

RNG = np.random.default_rng(0)
LOGITS = 2 * RNG.normal(size=(203, 3))
FIT = Predictions(
    logits=LOGITS,
    labels=(LOGITS + 2 * RNG.normal(size=(203, 3))).argmax(axis=1),
    image_features=RNG.normal(size=(203, 4)),
    classes=["cat", "dog", "cow"],
)
UNSEEN = Predictions(logits=2 * RNG.normal(size=(60, 3)), image_features=2 * RNG.normal(size=(60, 4)))


def distances(one, others):
    return sorted(float(np.sqrt(((one - other) ** 2).sum())) for other in others)


def by_hand(base, bins, k):
    """Rank the fit by proximity, cut it into bins of equally many, and send every image to the bin of its proximity."""
    features = FIT.image_features
    of_fit = [np.exp(-np.mean(distances(one, np.delete(features, i, 0))[:k])) for i, one in enumerate(features)]
    of_unseen = [np.exp(-np.mean(distances(one, features)[:k])) for one in UNSEEN.image_features]
    ranked = sorted(of_fit)
    edges = [ranked[-(-len(ranked) * b // bins) - 1] for b in range(1, bins)]
    result = np.empty((len(UNSEEN), 3))
    for b in range(bins):
        own = [i for i, one in enumerate(of_fit) if sum(one > edge for edge in edges) == b]
        part = clone(base).fit(FIT.subset(own))
        for n, one in enumerate(of_unseen):
            if sum(one > edge for edge in edges) == b:
                result[n] = part(UNSEEN.subset([n]))[0]
    return result


@pytest.mark.parametrize(
    "base", [HistogramBinning(bins=4), IsotonicRegression(), MultiIsotonic(), BBQ(), TemperatureScaling()]
)
@pytest.mark.parametrize(("bins", "k"), [(5, 10), (1, 3), (3, 1)])
def test_each_level_of_proximity_has_its_own(base, bins, k):
    fitted = BinMeanShift(base, bins=bins, k=k).fit(FIT)
    np.testing.assert_allclose(fitted(UNSEEN), by_hand(base, bins, k), atol=1e-9)


def test_unusual_images_are_calibrated_by_themselves():
    """Near images are right and far ones wrong, all equally sure: no map of the confidence alone tells them apart."""
    rng = np.random.default_rng(1)
    far = np.arange(400) % 2 == 1
    features = rng.normal(size=(400, 3)) * np.where(far, 30, 0.1)[:, None]
    sets = Predictions(logits=[[2.0, 0.0]] * 400, labels=far.astype(int), image_features=features)
    p = BinMeanShift(bins=2, k=5).fit(sets.subset(np.arange(300)))(sets.subset(np.arange(300, 400)))[:, 0]
    assert p[~far[300:]].mean() > 0.95
    assert p[far[300:]].mean() < 0.05


def test_equal_proximities_stay_in_one_bin():
    grid = np.array([[0.0], [1.0], [10.0], [11.0], [20.0], [21.0], [30.0], [31.0]])
    twins = Predictions(logits=np.tile([[1.0, 0.0]], (8, 1)), labels=[0, 1] * 4, image_features=grid)
    fitted = BinMeanShift(bins=4, k=1).fit(twins)
    assert len(fitted.parts_) == 1
    np.testing.assert_allclose(fitted(twins), 0.5)


def test_promises_are_those_of_the_base():
    assert (BinMeanShift().keeps_argmax, BinMeanShift().transfers) == (False, False)
    around = BinMeanShift(MultiIsotonic())
    assert (around.keeps_argmax, around.transfers, around.needs_labels) == (True, True, True)
    fitted = around.fit(FIT)
    assert (fitted(UNSEEN).argmax(axis=1) == UNSEEN.logits.argmax(axis=1)).all()
    assert fitted(replace(UNSEEN, logits=RNG.normal(size=(60, 7)), classes=None)).shape == (60, 7)
    with pytest.raises(InputError, match="knows only the 3 classes"):
        BinMeanShift().fit(FIT)(replace(UNSEEN, logits=RNG.normal(size=(60, 7)), classes=None))


def test_the_base_is_not_changed_and_can_be_cloned():
    base = HistogramBinning(bins=3)
    around = BinMeanShift(base).fit(FIT)
    assert not hasattr(base, "shares_")
    assert clone(around).base.get_params() == {"bins": 3, "binning": "width"}


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_a_file_gives_back_base_and_parts(ending, tmp_path):
    fitted = BinMeanShift(HistogramBinning(bins=3, binning="mass"), bins=2).fit(FIT)
    fitted.save(tmp_path / f"a{ending}")
    again = load(tmp_path / f"a{ending}")
    assert again.base.bins == 3
    assert (again(UNSEEN) == fitted(UNSEEN)).all()


def test_what_is_wrong_is_named():
    with pytest.raises(InputError, match="needs image_features"):
        BinMeanShift().fit(FIT.logits, FIT.labels)
    with pytest.raises(InputError, match="needs image_features"):
        BinMeanShift().fit(FIT).predict_proba(FIT.logits)
    with pytest.raises(InputError, match="bins must be a positive integer"):
        BinMeanShift(bins=0).fit(FIT)
    with pytest.raises(InputError, match="one more than parts_"):
        BinMeanShift().restore(
            {"edges_": np.array([0.0, 0.5, 1.0]), "parts_": [], "reference_": np.ones((2, 2))}, ["cat", "dog"]
        )
