"""CaRot against its formulas in float64: each term, the teacher, and whole runs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tuning_toy import ARCHITECTURE, QUICK, make_encoder

from calibrant.errors import InputError
from calibrant.models.open_clip import OpenClipEncoder
from calibrant.tuning import fit, load_recipe
from calibrant.tuning.averaging import ema_momentum
from calibrant.tuning.batches import Batches, Captions, LiveImages
from calibrant.tuning.objectives import contrastive
from calibrant.tuning.regularizers import (
    cross_projection_norm,
    orthogonality,
    self_distillation,
    smallest_singular_value,
)
from calibrant.tuning.solvers.steps_settings import AugmentationSettings
from calibrant.tuning.task import Task

SEEDS = st.integers(0, 2**32 - 1)


def softmax(row):
    powers = [math.exp(x - max(row)) for x in row]
    return [power / sum(powers) for power in powers]


def cross_entropy(target, row):
    total = max(row) + math.log(sum(math.exp(x - max(row)) for x in row))
    return sum(share * (total - x) for share, x in zip(target, row, strict=True))


@given(st.integers(1, 6), st.integers(1, 6), SEEDS)
@settings(max_examples=25, deadline=None)
def test_orthogonality(width, dimensions, seed):
    w = np.random.default_rng(seed).normal(size=(width, dimensions))
    small = w if width >= dimensions else w.T
    gram = [[float(a @ b) for a in small.T] for b in small.T]
    expected = sum((value - (i == j)) ** 2 for i, row in enumerate(gram) for j, value in enumerate(row))
    assert float(orthogonality(torch.from_numpy(w), squared=True)) == pytest.approx(expected, rel=1e-10)
    assert float(orthogonality(torch.from_numpy(w))) == pytest.approx(math.sqrt(expected), rel=1e-10)
    # the other Gram matrix differs by a constant, so both have the same best projection
    other = np.linalg.norm(small @ small.T - np.eye(len(small))) ** 2
    assert other == pytest.approx(expected + abs(width - dimensions), rel=1e-9)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5)])
def test_orthogonality_reaches_0_and_has_a_gradient_there(shape):
    w = torch.linalg.qr(torch.randn(max(shape), min(shape), dtype=torch.float64))[0]
    w = (w if shape[0] > shape[1] else w.T).requires_grad_()
    norm = orthogonality(w)
    norm.backward()
    assert float(norm.detach()) == pytest.approx(0, abs=1e-7)
    exact = torch.eye(3, requires_grad=True)
    orthogonality(exact).backward()
    assert torch.equal(exact.grad, torch.zeros(3, 3))
    assert torch.isfinite(w.grad).all()


@given(SEEDS)
@settings(max_examples=10, deadline=None)
def test_cross_projection_norm(seed):
    rng = np.random.default_rng(seed)
    image, text = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    expected = math.sqrt(sum(float(v @ t) ** 2 for v in image for t in text))
    got = cross_projection_norm(torch.from_numpy(image), torch.from_numpy(text))
    assert float(got) == pytest.approx(expected, rel=1e-10)


@given(st.integers(1, 6), st.floats(0.1, 200), SEEDS)
@settings(max_examples=25, deadline=None)
def test_self_distillation(count, scale, seed):
    student, teacher = np.random.default_rng(seed).normal(0, scale, (2, count, count))
    expected = sum(
        cross_entropy(softmax(list(b)), list(a)) / count
        for one, other in ((student, teacher), (student.T, teacher.T))
        for a, b in zip(one, other, strict=True)
    )
    given_student = torch.from_numpy(student).requires_grad_()
    given_teacher = torch.from_numpy(teacher).requires_grad_()
    got = self_distillation(given_student, given_teacher)
    assert got.item() == pytest.approx(expected, rel=1e-9, abs=1e-9)
    got.backward()
    assert given_teacher.grad is None
    assert torch.isfinite(given_student.grad).all()


def test_a_teacher_of_another_shape_is_refused():
    with pytest.raises(InputError, match=r"\[3, 3\], not \[2, 2\]"):
        self_distillation(torch.zeros(2, 2), torch.zeros(3, 3))


@pytest.mark.parametrize("count", [30, 5, 4, 3])
def test_smallest_singular_value(count):
    features = np.random.default_rng(count).normal(size=(count, 4)) @ np.diag([1, 2, 5, 0.3])
    z = (features - features.mean(axis=0)) / features.std(axis=0)
    expected = sorted(np.linalg.svd(z)[1] ** 2 / count, reverse=True)[min(count - 1, 4) - 1]
    wide = torch.from_numpy(features).requires_grad_()
    assert smallest_singular_value(wide).item() == pytest.approx(expected, rel=1e-9)
    assert torch.autograd.gradcheck(smallest_singular_value, wide)


def test_a_constant_column_has_no_spread():
    assert float(smallest_singular_value(torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, 5.0]]))) == 0
    with pytest.raises(InputError, match="two samples"):
        smallest_singular_value(torch.ones(1, 3))


def test_momentum_of_the_published_run():
    updates = [round(ema_momentum(step, 25_030), 3) for step in range(0, 5001, 500)]
    assert updates == [0.05, 0.135, 0.22, 0.305, 0.39, 0.474, 0.559, 0.644, 0.729, 0.814, 0.899]
    assert ema_momentum(5006, 25_030) == ema_momentum(25_029, 25_030) == 0.9


STEPS, PERIOD, RATE = 12, 3, 1e-3
WHOLE = {
    "solver.steps": STEPS,
    "solver.batch_size": 8,
    "solver.learning_rate": RATE,
    "solver.warmup": 0.25,
    "solver.precision": "fp32",
    "regularizers.self_distillation.period": PERIOD / STEPS,
}


def batches_of(encoder, train):
    task = Task(train.classes, train.templates, train.words)
    images = LiveImages(train, encoder, AugmentationSettings().draws(), 1, 0)
    return Batches(train, 8, 1, 0, images, Captions(task, encoder, 1, 0))


def pair_logits(network, pixels, ids):
    image, text = network.encode_image(pixels), network.encode_text(ids)
    image, text = (rows / rows.pow(2).sum(1, keepdim=True).sqrt() for rows in (image, text))
    return network.logit_scale.exp() * image @ text.T


def reference_run(train, squared, smoothing, weights):
    """CaRot in float64 on open_clip's own network, with nothing of ours but the batches."""
    from open_clip import CLIP

    network = CLIP(**ARCHITECTURE).double().train()
    encoder = make_encoder()
    network.load_state_dict({name: value.double() for name, value in encoder.network.state_dict().items()})
    teacher = CLIP(**ARCHITECTURE).double().train()
    teacher.load_state_dict(network.state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.1)
    rows = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            rising = STEPS // 4
            group["lr"] = RATE * (
                (step + 1) / rising
                if step < rising
                else (1 + math.cos(math.pi * (step - rising) / (STEPS - rising))) / 2
            )
        batch = batches_of(encoder, train)[step]
        ids = torch.zeros(8, 24, dtype=torch.int64)
        ids[:, : batch["captions"].shape[1]] = batch["captions"]

        a = pair_logits(network, batch["pixels"].double(), ids)
        over_texts, over_images = a.log_softmax(1), a.T.log_softmax(1)
        hard = (1 - smoothing) * torch.eye(8) + smoothing / 8
        terms = {"contrastive": -(hard * over_texts).sum(1).mean() / 2 - (hard * over_images).sum(1).mean() / 2}
        w, other = network.visual.proj, network.text_projection
        constraint = (w.T @ w - torch.eye(w.shape[1])).pow(2).sum()
        terms["orthogonality"] = weights["orthogonality"] * (constraint if squared else constraint.sqrt())
        terms["cross_projection_norm"] = weights["cross_projection_norm"] * (w @ other.T).pow(2).sum().sqrt()
        if step > 0 and "self_distillation" in weights:
            b = pair_logits(teacher, batch["pixels"].double(), ids).detach()
            soft = -(b.softmax(1) * over_texts).sum(1).mean() - (b.T.softmax(1) * over_images).sum(1).mean()
            terms["self_distillation"] = weights["self_distillation"] * soft
        sum(terms.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % PERIOD == 0:
            momentum = 0.05 + 0.85 * step / (0.2 * STEPS) if step < 0.2 * STEPS else 0.9
            with torch.no_grad():
                for old, new in zip(teacher.parameters(), network.parameters(), strict=True):
                    old.copy_(momentum * old + (1 - momentum) * new)
        rows.append({name: term.item() for name, term in terms.items()})
    return rows, teacher


@pytest.mark.parametrize(("method", "squared"), [("carot", False), ("carot@squared", True)])
def test_a_run_is_that_of_the_formulas(method, squared, encoder, train):
    rows, saved = [], []
    fit(encoder, train, load_recipe(method, WHOLE, "tiny"), progress=False, log=rows.append, save=saved.append)
    weights = {"orthogonality": 0.2, "cross_projection_norm": 0.05, "self_distillation": 1.5}
    expected, teacher = reference_run(train, squared, 0.0, weights)
    for row, terms in zip(rows, expected, strict=True):
        assert row["terms"] == pytest.approx(terms, rel=1e-5)
        assert row["loss"] == pytest.approx(sum(terms.values()), rel=1e-5)
    assert "self_distillation" not in rows[0]["terms"]
    kept = saved[-1].group("regularizer")
    for name, value in teacher.named_parameters():
        got, wanted = kept[f"self_distillation/teacher.encoder.network.{name}"].numpy(), value.detach().numpy()
        if name.endswith("in_proj_bias"):
            # a bias of the keys changes nothing: its gradient is rounding, which Adam blows up
            got, wanted = (np.delete(bias.reshape(3, -1), 1, axis=0) for bias in (got, wanted))
        np.testing.assert_allclose(got, wanted, atol=2e-5, err_msg=name)


def test_label_smoothing_takes_the_place_of_the_teacher(encoder, train):
    rows = []
    given = {key: value for key, value in WHOLE.items() if "self_distillation" not in key}
    fit(encoder, train, load_recipe("carot@label-smoothing", given, "tiny"), progress=False, log=rows.append)
    expected, _ = reference_run(train, False, 0.1, {"orthogonality": 0.2, "cross_projection_norm": 0.05})
    for row, terms in zip(rows, expected, strict=True):
        assert row["terms"] == pytest.approx(terms, rel=1e-5)


@given(st.floats(0, 0.9), SEEDS)
@settings(max_examples=15, deadline=None)
def test_contrastive_with_label_smoothing(smoothing, seed):
    image, text = np.random.default_rng(seed).normal(size=(2, 5, 3))
    target = [[(1 - smoothing) * (i == j) + smoothing / 5 for j in range(5)] for i in range(5)]
    logits = 7 * image @ text.T
    expected = sum(cross_entropy(target[i], list(rows[i])) / 10 for rows in (logits, logits.T) for i in range(5))
    got = contrastive(torch.from_numpy(image), torch.from_numpy(text), 7.0, smoothing)
    assert float(got) == pytest.approx(expected, rel=1e-9)


def test_a_step_costs_one_teacher_forward_at_most(encoder, train, monkeypatch):
    calls = {"encode_image": 0, "encode_text_embeddings": 0}

    def count(name):
        original = getattr(OpenClipEncoder, name)

        def counted(self, *given, **more):
            calls[name] += 1
            return original(self, *given, **more)

        monkeypatch.setattr(OpenClipEncoder, name, counted)

    for name in calls:
        count(name)
    fit(encoder, train, load_recipe("flyp", QUICK, "tiny"), progress=False)
    assert calls == {"encode_image": 6, "encode_text_embeddings": 6}
    calls.update(encode_image=0, encode_text_embeddings=0)
    fit(encoder, train, load_recipe("carot", QUICK, "tiny"), progress=False)
    assert calls == {"encode_image": 11, "encode_text_embeddings": 11}, "the first step goes without the teacher"


def resnet():
    from open_clip import CLIP, SimpleTokenizer

    from calibrant.models.preprocessing import Preprocessing

    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 2, "head_width": 16}
    architecture = {**ARCHITECTURE, "vision_cfg": vision}
    torch.manual_seed(0)
    about = {"architecture": architecture, "quick_gelu": False}
    network = CLIP(**architecture)
    return OpenClipEncoder(network, SimpleTokenizer(context_length=24), Preprocessing((32, 32)), "toy RN", about)


def test_the_constraint_of_a_resnet_can_be_met(train):
    encoder = resnet()
    assert encoder.image_projection.shape == (64, 16), "[width, D]"
    given = {**QUICK, "solver.steps": 40, "objective.name": "contrastive", "solver.precision": "fp32"}
    rows = []
    off = {"regularizers.orthogonality.weight": 1000}
    fit(encoder, train, load_recipe("carot", {**given, **off}, "tiny"), progress=False, log=rows.append)
    terms = [row["terms"]["orthogonality"] / 1000 for row in rows]
    assert terms[-1] < terms[0] / 3


@pytest.mark.parametrize(
    ("method", "named"),
    [
        ("coop+orthogonality", "does not train"),
        ("coop+cross_projection_norm", "does not train"),
        ("coop+smallest_singular_value", "does not change"),
        ("ft+self_distillation", "captions"),
    ],
)
def test_impossible_pairs(method, named, encoder, train, cache):
    with pytest.raises(InputError, match=named):
        fit(encoder, train, load_recipe(method, QUICK, "tiny"), cache=cache, progress=False)


def test_no_projection_to_constrain(encoder, train):
    encoder.network.visual.proj = None
    with pytest.raises(InputError, match="image tower of toy has none"):
        fit(encoder, train, load_recipe("carot", QUICK, "tiny"), progress=False)


def test_a_part_can_be_left_out():
    left = load_recipe("carot", {"regularizers.cross_projection_norm": None}).stages[0].regularizers
    assert list(left) == ["orthogonality", "self_distillation"]
    with pytest.raises(InputError, match=r"--set: the method has no stages\.0\.regularizers\.l2_sp to leave out"):
        load_recipe("carot", {"regularizers.l2_sp": None})
