"""Averaging steps against float64 computations that are written from their formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tuning_toy import QUICK

from calibrant.errors import InputError
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.averaging import gaussian_prompt_aggregation, gaussian_weights, model_stock
from calibrant.tuning.components import AVERAGINGS


@given(st.integers(1, 30), st.floats(1, 30), st.floats(0.5, 40))
@settings(max_examples=40, deadline=None)
def test_gaussian_weights(parts, mean, deviation):
    densities = [math.exp(-((k - mean) ** 2) / (2 * deviation**2)) / (deviation * math.sqrt(2 * math.pi))
                 for k in range(1, parts + 1)]  # fmt: skip
    if sum(densities) > 1e-200:
        expected = [one / sum(densities) for one in densities]
        np.testing.assert_allclose(gaussian_weights(parts, mean, deviation).numpy(), expected, atol=1e-12)


def test_gaussian_prompt_aggregation_is_the_weighted_sum_over_the_parts_of_a_run(encoder, train, cache):
    changes = {**QUICK, "solver.steps": 8, "solver.views": 1}
    recipe = load_recipe(
        "coop+gaussian_prompt_aggregation",
        {**changes, "averaging.gaussian_prompt_aggregation": {"parts": 4, "mean": 3, "deviation": 1.5}},
        "tiny",
    )
    seen = []
    part = AVERAGINGS.get("gaussian_prompt_aggregation")
    after_step = part.after_step

    def spy(self, step, total):
        seen.append(self.model.tensors()["context"].double().numpy())
        after_step(self, step, total)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(part, "after_step", spy)
        tuned = fit(encoder, train, recipe, cache=cache, progress=False)
    densities = [math.exp(-((k - 3) ** 2) / (2 * 1.5**2)) for k in (1, 2, 3, 4)]
    expected = sum(density / sum(densities) * seen[2 * k + 1] for k, density in enumerate(densities))
    np.testing.assert_allclose(tuned.tensors()["context"].numpy(), expected, atol=1e-6)
    moments = [{"context": torch.from_numpy(seen[step])} for step in (1, 3, 5, 7)]
    np.testing.assert_allclose(gaussian_prompt_aggregation(moments, 3, 1.5)["context"].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 5, 20, 33])
def test_all_parts_are_counted_however_long_the_run(steps):
    class Model:
        class parameterization:  # noqa: N801
            @staticmethod
            def trainables():
                return {"w": torch.full((2,), 7.0)}

        def load_tensors(self, tensors):
            self.loaded = tensors

    model = Model()
    averaging = AVERAGINGS.build("gaussian_prompt_aggregation", {"parts": 20, "mean": 15, "deviation": 30}, model)
    for step in range(1, steps + 1):
        averaging.after_step(step, steps)
    averaging.finish()
    torch.testing.assert_close(model.loaded["w"], torch.full((2,), 7.0))


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_model_stock(count, seed):
    rng = np.random.default_rng(seed)
    start, common = rng.normal(size=(3, 4)), rng.normal(size=(3, 4))
    tuned = [start + common + rng.normal(size=(3, 4)) for _ in range(count)]
    cosines = []
    for i in range(count):
        for j in range(i):
            a, b = (tuned[i] - start).ravel(), (tuned[j] - start).ravel()
            cosines.append(sum(a * b) / math.sqrt(sum(a * a) * sum(b * b)))
    c = max(sum(cosines) / len(cosines), 0)
    t = count * c / ((count - 1) * c + 1)
    expected = t * sum(tuned) / count + (1 - t) * start
    got = model_stock({"w": torch.from_numpy(start)}, [{"w": torch.from_numpy(one)} for one in tuned])["w"]
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


def test_model_stock_at_its_ends():
    start, move = torch.zeros(3), torch.tensor([1.0, 2.0, 2.0])
    assert torch.equal(model_stock({"w": start}, [{"w": move}, {"w": move}])["w"], move), "models that agree"
    assert torch.equal(model_stock({"w": start}, [{"w": move}, {"w": -move}])["w"], start), "that contradict"
    assert torch.equal(model_stock({"w": start}, [{"w": start}, {"w": start}])["w"], start), "that did not move"
    with pytest.raises(InputError, match="at least two tuned models"):
        model_stock({"w": start}, [{"w": move}])


@pytest.fixture
def two_runs(encoder, train, cache, tmp_path):
    changes = {**QUICK, "solver.precision": "fp32"}
    folders = [tmp_path / f"run{seed}" for seed in (1, 2)]
    for seed, folder in enumerate(folders, start=1):
        folder.mkdir()
        model = fit(encoder, train, load_recipe("ft", changes, "tiny"), seed=seed, cache=cache, progress=False)
        model.save(folder / "weights.safetensors")
    return changes, folders


def test_model_stock_over_run_folders(two_runs, encoder, train, cache):
    from calibrant.tuning import TunedModel

    changes, (first, second) = two_runs
    recipe = load_recipe("model-stock", {**changes, "averaging.model_stock.runs": [str(first)]}, "tiny")
    tuned = fit(encoder, train, recipe, seed=2, cache=cache, progress=False)
    ends = [TunedModel.load(folder / "weights.safetensors", encoder) for folder in (first, second)]
    expected = model_stock(ends[0].parameterization.zero_shot_tensors(), [one.tensors() for one in ends])
    for name, tensor in tuned.tensors().items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=0)


def test_model_stock_refuses_what_does_not_belong_together(two_runs, encoder, train, cache, tmp_path):
    changes, (first, _) = two_runs

    def refusal(method, train, **more):
        with pytest.raises(InputError) as caught:
            fit(encoder, train, load_recipe(method, {**changes, **more}, "tiny"), cache=cache, progress=False)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    runs = {"averaging.model_stock.runs": [str(first)]}
    assert "needs the run folders" in refusal("ft+model_stock", train)
    assert "does not start from the zero-shot model" in refusal("coop+model_stock", train, **runs)
    assert "another method" in refusal("flyp+model_stock", train, **runs)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "not the folder of a finished run" in refusal(
        "ft+model_stock", train, **{"averaging.model_stock.runs": [str(empty)]}
    )
    with torch.no_grad():
        encoder.log_logit_scale.add_(0.1)
    assert "with other weights" in refusal("ft+model_stock", train, **runs)
