"""The seams of the loop: what a regularizer may do, and the optimizer against a loop of its own."""

from __future__ import annotations

import contextlib
import copy

import numpy as np
import pytest
import torch
from tuning_toy import QUICK

from calibrant.tuning import fit, load_recipe
from calibrant.tuning.components import REGULARIZERS
from calibrant.tuning.regularizers.base import Regularizer


@pytest.fixture
def registered(monkeypatch):
    """Registers a regularizer for one test."""
    REGULARIZERS.names()
    monkeypatch.setattr(REGULARIZERS, "_parts", dict(REGULARIZERS._parts))
    return REGULARIZERS.register


def test_a_regularizer_sees_batches_gradients_and_steps(registered, encoder, train, cache):
    seen = []

    @registered("spy")
    class Spy(Regularizer):
        """Projects the gradient of the others off its own."""

        def on_batch(self, batch, draw):
            seen.append(("batch", batch["labels"].tolist(), float(draw.random())))
            return batch

        def loss(self, outputs):
            return outputs.model.trainables()["context"].sum()

        def combine_gradients(self, others, own):
            assert torch.equal(own["context"], torch.full_like(own["context"], 3.0))
            direction = own["context"] / own["context"].norm()
            rest = others["context"] - (others["context"] * direction).sum() * direction
            return {"context": rest}

        def after_step(self, step, total):
            seen.append(("step", step, total))

    changes = {**QUICK, "solver.weight_decay": 0, "regularizers.spy.weight": 3}
    recipe = load_recipe("coop+spy", changes, "tiny")
    tuned = fit(encoder, train, recipe, cache=cache, progress=False)
    assert [row for row in seen if row[0] == "step"] == [("step", step, 6) for step in range(1, 7)]
    assert len({row[2] for row in seen if row[0] == "batch"}) == 6
    start = fit(encoder, train, load_recipe("coop", {**QUICK, "solver.steps": 0}, "tiny"), cache=cache)
    moved = tuned.tensors()["context"] - start.tensors()["context"]
    assert float(moved.abs().sum()) > 0
    # nothing moves along the direction that was projected out
    assert abs(float(moved.sum())) < 1e-4 * float(moved.abs().sum())


def test_training_is_the_textbook_loop(encoder, train, cache):
    """FT for five steps against torch's AdamW with nothing of ours but batches and transforms."""
    from calibrant.tuning.batches import Batches, LiveImages
    from calibrant.tuning.solvers.steps_settings import AugmentationSettings

    solver = {
        "steps": 5,
        "batch_size": 8,
        "learning_rate": 0.01,
        "warmup": 0,
        "schedule": "constant",
        "precision": "fp32",
    }
    changes = {"solver": {**solver, "clip_gradient": 0.5}}
    recipe = load_recipe("ft", changes, "tiny")
    tuned = fit(encoder, train, recipe, cache=cache, progress=False, seed=3)
    unmoved = load_recipe("ft", {"solver.steps": 0, "solver.batch_size": 8}, "tiny")
    start = fit(encoder, train, unmoved, cache=cache, seed=3)
    tower, head = copy.deepcopy(start.encoder), copy.deepcopy(start.parameterization.head)
    trained = [parameter for _, parameter in tower.image_tower_parameters()] + list(head.parameters())
    optimizer = torch.optim.AdamW(trained, lr=0.01, weight_decay=0.1)
    images = LiveImages(train, tower, AugmentationSettings().draws(), 3, 0)
    batches = Batches(train, 8, 3, 0, images)
    for step in range(5):
        batch = batches[step]
        loss = torch.nn.functional.cross_entropy(head(tower.encode_image(batch["pixels"])), batch["labels"])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 0.5)
        optimizer.step()
    torch.testing.assert_close(tuned.parameterization.head.weight, head.weight, atol=1e-5, rtol=1e-4)
    mine, theirs = tuned.encoder.image_projection, tower.image_projection
    torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-4)


class FakeScaler:
    """Scales losses by 1,024 as a scaler of fp16 does, and records what is asked of it."""

    def __init__(self, calls):
        self.calls = calls

    def scale(self, loss):
        self.calls.append("scale")
        return 1024 * loss

    def unscale_(self, optimizer):
        self.calls.append("unscale")
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad /= 1024

    def step(self, optimizer, closure):
        self.calls.append("step")
        optimizer.step()

    def update(self):
        self.calls.append("update")


def test_gradients_are_clipped_after_unscaling(encoder, train, cache, monkeypatch):
    """Clipped while they are still scaled, every gradient would come out 1,024 times too small."""
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    from calibrant.tuning import loop

    calls = []

    class Scaled(Accelerator):
        """What an accelerator is on a GPU at fp16, but for the autocast."""

        mixed_precision = "fp16"

    def scaled(precision):
        AcceleratorState._reset_state()
        accelerator = Scaled(mixed_precision="no")
        accelerator.native_amp, accelerator.scaler = True, FakeScaler(calls)
        monkeypatch.setattr(accelerator, "prepare_model", lambda model, **_: model)
        monkeypatch.setattr(accelerator, "autocast", contextlib.nullcontext)
        return accelerator

    recipe = load_recipe("coop", {**QUICK, "solver.steps": 3, "solver.clip_gradient": 1e-4}, "tiny")
    expected = fit(encoder, train, recipe, cache=cache, progress=False).tensors()
    clip, norms = torch.nn.utils.clip_grad_norm_, []

    def recorded(parameters, *limit, **options):
        calls.append("clip")
        norms.append(float(clip(parameters, *limit, **options)))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", recorded)
    monkeypatch.setattr(loop, "_accelerator", scaled)
    found = fit(encoder, train, recipe, cache=cache, progress=False).tensors()
    assert calls == ["scale", "unscale", "clip", "step", "update"] * 3
    assert min(norms) > 1e-4  # there is something to clip
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=1e-5)


def test_wise_ft_is_the_mean_of_both_ends(encoder, train, cache):
    recipe = load_recipe("wise-ft", {**QUICK, "averaging.wise_ft.alpha": 0.25}, "tiny")
    mixed = fit(encoder, train, recipe, cache=cache, progress=False).tensors()
    end = fit(encoder, train, load_recipe("ft", QUICK, "tiny"), cache=cache, progress=False).tensors()
    unmoved = load_recipe("ft", {"solver.steps": 0, "solver.batch_size": 8}, "tiny")
    start = fit(encoder, train, unmoved, cache=cache).tensors()
    for name, tensor in mixed.items():
        torch.testing.assert_close(tensor, 0.75 * start[name] + 0.25 * end[name], atol=1e-6, rtol=0)


def test_lp_ft_starts_its_second_stage_at_the_probe(encoder, train, cache):
    zero = load_recipe("lp-ft", {**QUICK, "solver.steps": 0}, "tiny")
    first = fit(encoder, train, zero, cache=cache, progress=False).tensors()
    same = {f"solver.{name}": zero.stages[0].solver[name] for name in ("inverse_strength", "iterations", "tolerance")}
    probe = load_recipe("linear-probe", same, "tiny")
    alone = fit(encoder, train, probe, cache=cache, progress=False).tensors()
    assert torch.equal(first["head.weight"], alone["head.weight"])
    assert np.isfinite(alone["head.bias"].numpy()).all()
