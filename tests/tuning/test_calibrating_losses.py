"""Label smoothing, Mixup, MbLS, the logit-range penalty and ZS-Norm, each against a loop written from its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from calibrant.errors import InputError
from calibrant.tuning.fitting import fit
from calibrant.tuning.objectives import zero_shot_normalised
from calibrant.tuning.objectives.zero_shot_normalised import ZeroShotNormalised
from calibrant.tuning.outputs import Outputs
from calibrant.tuning.recipe import load_recipe
from calibrant.tuning.regularizers import label_smoothing, logit_range, margin, mixup
from calibrant.tuning.regularizers.label_smoothing import LabelSmoothing, LabelSmoothingSettings
from calibrant.tuning.regularizers.mixup import Mixup, MixupSettings
from calibrant.tuning.settings import Settings
from calibrant.tuning.task import Task
from calibrant.tuning.tuned_model import build

QUICK = {"solver.epochs": None, "solver.steps": 4, "solver.batch_size": 8, "solver.learning_rate": 0.01}
sizes = (st.integers(1, 6), st.integers(2, 7), st.integers(0, 2**32 - 1))


@pytest.fixture
def coop(encoder, train):
    return build(encoder, Task(train.classes, train.templates, train.words), load_recipe("coop"), stage=0, seed=1)


@given(*sizes, st.floats(0, 0.99))
@settings(max_examples=20, deadline=None)
def test_label_smoothing(count, classes, seed, amount):
    targets = np.random.default_rng(seed).dirichlet(np.ones(classes), count)
    got = label_smoothing(torch.from_numpy(targets), amount).numpy()
    for row, expected in zip(got, targets, strict=True):
        for value, target in zip(row, expected, strict=True):
            assert value == pytest.approx((1 - amount) * target + amount / classes, abs=1e-12)
        assert sum(row) == pytest.approx(1)


@given(*sizes, st.floats(0, 20))
@settings(max_examples=20, deadline=None)
def test_margin(count, classes, seed, size):
    logits = np.random.default_rng(seed).normal(0, 12, (count, classes))
    expected = sum(max(0.0, max(row) - value - size) for row in logits for value in row) / (count * classes)
    assert float(margin(torch.from_numpy(logits), size)) == pytest.approx(expected, abs=1e-10)


@given(*sizes)
@settings(max_examples=20, deadline=None)
def test_logit_range(count, classes, seed):
    logits, reference = np.random.default_rng(seed).normal(0, [[[9]], [[4]]], (2, count, classes))
    expected = 0.0
    for row, zero_shot in zip(logits, reference, strict=True):
        for value in row:
            expected += max(0.0, value - max(zero_shot)) + max(0.0, min(zero_shot) - value)
    got = logit_range(torch.from_numpy(logits), torch.from_numpy(reference))
    assert float(got) == pytest.approx(expected / (count * classes), abs=1e-10)
    assert float(logit_range(torch.from_numpy(reference), torch.from_numpy(reference))) == 0


@given(*sizes)
@settings(max_examples=20, deadline=None)
def test_zero_shot_normalisation(count, classes, seed):
    logits, reference = np.random.default_rng(seed).normal(0, 9, (2, count, classes))
    got = zero_shot_normalised(torch.from_numpy(logits), torch.from_numpy(reference)).numpy()
    for row, zero_shot, values in zip(logits, reference, got, strict=True):
        for value, result in zip(row, values, strict=True):
            place = (value - min(row)) / (max(row) - min(row))
            assert result == pytest.approx(place * (max(zero_shot) - min(zero_shot)) + min(zero_shot), abs=1e-9)


def test_zero_shot_normalisation_of_equal_logits_is_finite():
    logits = torch.full((1, 3), 5.0, requires_grad=True)
    result = zero_shot_normalised(logits, torch.tensor([[1.0, 2.0, 3.0]]))
    torch.nn.functional.cross_entropy(result, torch.tensor([0])).backward()
    assert result.tolist() == [[1.0, 1.0, 1.0]]
    assert torch.isfinite(logits.grad).all()


def test_the_objective_normalises_before_cross_entropy(coop, pixels):
    batch = {"labels": torch.tensor([0, 1, 2, 0]), "pixels": pixels}
    outputs = Outputs(coop.parameterization, batch, coop.zero_shot)
    expected = 0.0
    for row, zero_shot, label in zip(
        outputs.logits.double().tolist(), outputs.zero_shot_logits.double().tolist(), [0, 1, 2, 0], strict=True
    ):
        low, high = min(row), max(row)
        scaled = [(x - low) / (high - low) * (max(zero_shot) - min(zero_shot)) + min(zero_shot) for x in row]
        expected += (math.log(sum(map(math.exp, scaled))) - scaled[label]) / 4
    assert float(ZeroShotNormalised(Settings()).loss(outputs).detach()) == pytest.approx(expected, abs=1e-5)


def test_mixup_mixes_images_and_targets_alike(coop):
    rng = np.random.default_rng(0)
    batch = {
        "labels": torch.tensor([0, 1, 2, 2]),
        "pixels": torch.from_numpy(rng.normal(size=(4, 3, 5, 5))).float(),
    }
    batch["other_view"] = 2 * batch["pixels"]
    mixed = Mixup(MixupSettings(alpha=1.0), coop).on_batch(batch, np.random.default_rng(7))
    torch.testing.assert_close(mixed["other_view"], 2 * mixed["pixels"])
    draw = np.random.default_rng(7)
    share, partner = draw.beta(1.0, 1.0), draw.permutation(4)
    for i in range(4):
        expected = share * batch["pixels"][i] + (1 - share) * batch["pixels"][partner[i]]
        torch.testing.assert_close(mixed["pixels"][i], expected)
        torch.testing.assert_close(mixup(batch["pixels"], torch.from_numpy(partner), share)[i], expected)
        target = [0.0, 0.0, 0.0]
        target[batch["labels"][i]] += share
        target[batch["labels"][partner[i]]] += 1 - share
        assert mixed["targets"][i].tolist() == pytest.approx(target)
    assert sorted(partner) == [0, 1, 2, 3]
    assert "targets" not in batch


def test_mixup_with_label_smoothing_does_not_depend_on_the_order(coop):
    batch = {"labels": torch.tensor([0, 1, 2]), "pixels": torch.randn(3, 3, 4, 4)}
    mix, smooth = Mixup(MixupSettings(alpha=1.0), coop), LabelSmoothing(LabelSmoothingSettings(amount=0.3), coop)
    results = []
    for parts in ((mix, smooth), (smooth, mix)):
        current = batch
        for part in parts:
            current = part.on_batch(current, np.random.default_rng(3))
        results.append(current["targets"])
    torch.testing.assert_close(*results)


def test_shares_are_drawn_from_the_beta_distribution(coop):
    part = Mixup(MixupSettings(alpha=0.2), coop)
    batch = {"labels": torch.tensor([0, 1]), "pixels": torch.zeros(2, 3, 2, 2)}
    targets = [part.on_batch(batch, np.random.default_rng(seed))["targets"][0] for seed in range(600)]
    # the share of the own label, where the partner is another sample
    shares = np.array([float(target[0]) for target in targets if float(target[0]) < 1])
    variance = 0.25 / (2 * 0.2 + 1)
    assert shares.mean() == pytest.approx(0.5, abs=0.08)
    assert shares.var() == pytest.approx(variance, abs=0.03)


def test_mixup_refuses_cached_features(encoder, train, cache):
    with pytest.raises(InputError, match=r"set solver\.views to live$"):
        fit(encoder, train, load_recipe("coop+mixup", {**QUICK, "solver.views": 2}), cache=cache, progress=False)


@pytest.mark.parametrize("part", ["mixup", "label_smoothing"])
def test_captions_have_no_targets(encoder, train, part):
    with pytest.raises(InputError, match="compares images with captions"):
        fit(encoder, train, load_recipe(f"flyp+{part}", QUICK), progress=False)


@pytest.mark.parametrize(
    "method",
    ["ft+label_smoothing", "ft+mixup", "coop+margin", "coop+logit_range", "coop+mixup+label_smoothing", "zs-norm"],
)
def test_compositions_train(encoder, train, method):
    overrides = dict(QUICK)
    if method == "zs-norm":
        method, overrides = "coop", {**QUICK, "objective": {"name": "zero_shot_normalised"}}
    rows = []
    tuned = fit(encoder, train, load_recipe(method, overrides), log=rows.append, progress=False)
    assert all(math.isfinite(row["loss"]) for row in rows)
    parts = method.split("+")[1:]
    for part in parts:
        # what changes targets has no term of its own
        assert (part in rows[0]["terms"]) == (part in ("margin", "logit_range"))
    start = build(encoder, Task(train.classes, train.templates, train.words), tuned.recipe, stage=0, seed=1).tensors()
    assert any(not torch.equal(start[name], tensor) for name, tensor in tuned.tensors().items())


def test_smoothed_targets_change_the_loss(encoder, train):
    first = []
    for method in ("coop", "coop+label_smoothing"):
        rows = []
        fit(encoder, train, load_recipe(method, QUICK), log=rows.append, progress=False)
        first.append(rows[0]["loss"])
    assert abs(first[0] - first[1]) > 1e-4


@pytest.mark.parametrize(
    ("place", "value"),
    [("mixup.alpha", 0), ("label_smoothing.amount", 1.0), ("margin.margin", -1), ("label_smoothing.weight", 2)],
)
def test_bad_settings_are_one_clear_line(place, value):
    with pytest.raises(InputError) as error:
        load_recipe(f"ft+{place.split('.')[0]}", {f"regularizers.{place}": value})
    assert place.split(".")[-1] in str(error.value)
    assert "\n" not in str(error.value)
