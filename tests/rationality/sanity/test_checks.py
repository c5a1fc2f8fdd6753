"""The sanity checks on a model whose evidence is known: it looks at the upper left corner and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from corner_model import COLOURS, CORNER, SIZE, make_model, make_pixels
from scipy.stats import spearmanr

from calibrant.errors import InputError
from calibrant.models.tiny import load_tiny
from calibrant.rationality.explainers.centre import Centre
from calibrant.rationality.explainers.occlusion import Occlusion
from calibrant.rationality.explainers.uniform import Uniform
from calibrant.rationality.heat_maps import HeatMaps
from calibrant.rationality.sanity.agreement import agreement, rank_correlation
from calibrant.rationality.sanity.deletion import deletion_curves, removal_rank
from calibrant.rationality.sanity.label_swap import label_swap, other_classes
from calibrant.rationality.sanity.randomised_weights import cascade, layers_of, randomised, randomised_weights

TARGETS = np.array([2, 0, 1, 1])
OCCLUSION = Occlusion(window=2, stride=1)


@pytest.fixture
def pixels() -> torch.Tensor:
    return make_pixels(4)


def corner_maps(at_corner: float, elsewhere: float) -> HeatMaps:
    maps = np.full((4, SIZE, SIZE), elsewhere, dtype=np.float32)
    maps[:, :CORNER, :CORNER] = at_corner
    return HeatMaps(maps, list("abcd"), {})


def test_rank_correlation_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    one = rng.integers(0, 6, (5, 4, 3)).astype(float)  # with ties
    other = rng.normal(size=(5, 4, 3)) + one
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(one, other, strict=True)]
    np.testing.assert_allclose(rank_correlation(one, other), expected, atol=1e-12)


def test_a_map_without_evidence_correlates_with_nothing() -> None:
    maps = np.arange(12.0).reshape(3, 2, 2)
    maps[1], maps[2, 0, 0] = 1, np.nan
    np.testing.assert_allclose(rank_correlation(maps, np.arange(12.0).reshape(3, 2, 2)), [1, np.nan, np.nan])


def test_maps_of_different_grids_meet_on_the_finer_one() -> None:
    coarse = np.array([[[0.0, 1.0], [2.0, 4.0]]])
    fine = np.arange(16.0).reshape(1, 4, 4)
    assert 0.9 < rank_correlation(coarse, fine)[0] < 1
    np.testing.assert_array_equal(rank_correlation(coarse, fine), rank_correlation(fine, coarse))


def test_agreement_joins_maps_by_image() -> None:
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(3, 2, 2)).astype(np.float32)
    one = HeatMaps(maps, ["a", "b", "c"], {})
    turned = HeatMaps(-maps[::-1], ["c", "b", "a"], {})
    found = agreement({"one": one, "turned": turned, "again": one})
    assert list(found) == [("one", "turned"), ("one", "again"), ("turned", "again")]
    np.testing.assert_allclose(found["one", "turned"], -1)
    np.testing.assert_allclose(found["one", "again"], 1)
    with pytest.raises(InputError, match="only one of them has 'b'"):
        agreement({"one": one, "two": HeatMaps(maps[:2], ["a", "c"], {})})
    with pytest.raises(InputError, match="3 heat maps cannot be correlated with 2"):
        rank_correlation(maps, maps[:2])


def test_a_model_that_forgets_what_it_learnt_has_other_maps(pixels) -> None:
    model = make_model()
    before = {name: tensor.clone() for name, tensor in model.parameterization.state_dict().items()}
    found = randomised_weights(OCCLUSION, model, pixels, TARGETS, classes=COLOURS)
    assert found.layers == ["output", "network.blocks.0"]
    assert found.correlation.shape == (2, 4)
    # with a random projection it still looks at the corner; with random weights it looks everywhere
    assert np.abs(found.correlation[-1]).mean() < 0.4
    assert found.correlation[0].mean() > found.correlation[-1].mean()
    baseline = randomised_weights(Centre(), model, pixels, TARGETS, classes=COLOURS)
    np.testing.assert_allclose(baseline.correlation, 1)
    for name, tensor in model.parameterization.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_layers_are_randomised_one_after_the_other_and_keep_their_scale() -> None:
    model = make_model()
    weight = model.encoder.network.blocks[0].weight
    steps = cascade(model, seed=3)
    name, first = next(steps)
    assert name == "output"
    assert torch.equal(first.encoder.network.blocks[0].weight, weight)
    assert not torch.equal(first.encoder.network.proj, model.encoder.network.proj)
    assert first.encoder.network.log_scale is model.encoder.network.log_scale
    name, second = next(steps)
    drawn = second.encoder.network.blocks[0].weight
    assert name == "network.blocks.0"
    assert drawn.std().item() == pytest.approx(weight.std().item(), rel=0.1)
    assert list(steps) == []
    assert torch.equal(randomised(model, seed=3).encoder.network.blocks[0].weight, drawn)
    assert not torch.equal(randomised(model, seed=4).encoder.network.blocks[0].weight, drawn)


def test_layers_of_a_vision_transformer_are_in_the_order_of_its_forward_pass() -> None:
    encoder = load_tiny(random_initialisation=True)
    layers = layers_of(encoder)
    names = [name for name, _ in layers]
    assert names[0] == "stem"
    assert names[-1] == "output"
    assert [name.rpartition(".")[2] for name in names[1:-1]] == list("012345")
    tensors = {id(tensor) for _, group in layers for _, tensor in group}
    assert tensors == {id(tensor) for _, tensor in encoder.image_tower_parameters()}
    stem = {name.rpartition("visual.")[2] for name, _ in layers[0][1]}
    assert {"conv1.weight", "positional_embedding", "class_embedding"} <= stem
    output = {name.rpartition("visual.")[2] for name, _ in layers[-1][1]}
    assert output == {"proj", "ln_post.weight", "ln_post.bias"}


def test_a_tower_without_weights_cannot_be_randomised(monkeypatch) -> None:
    model = make_model()
    monkeypatch.setattr(type(model.encoder), "image_tower_parameters", lambda self: iter(()))
    with pytest.raises(InputError, match="'corner' has no weights"):
        randomised(model)


def test_maps_of_another_class_differ_where_an_explainer_looks_at_the_class(pixels) -> None:
    model = make_model()
    others = (TARGETS + 1) % 3
    own = OCCLUSION.explain(model, pixels, TARGETS, classes=COLOURS).maps
    swapped = OCCLUSION.explain(model, pixels, others, classes=COLOURS).maps
    found = label_swap(OCCLUSION, model, pixels, TARGETS, classes=COLOURS, others=others)
    np.testing.assert_array_equal(found, rank_correlation(own, swapped))
    assert found.mean() < 0.95
    np.testing.assert_allclose(label_swap(Centre(), model, pixels, TARGETS, classes=COLOURS), 1)


def test_other_classes_are_never_the_own_one_and_all_of_them_occur() -> None:
    targets = np.arange(300) % 3
    others = other_classes(targets, 3, seed=1)
    assert (others != targets).all()
    assert len(set(zip(targets.tolist(), others.tolist(), strict=True))) == 6
    with pytest.raises(InputError, match="at least two classes"):
        other_classes(targets, 1)
    with pytest.raises(InputError, match="image 1 is to be explained for 'red' both times"):
        label_swap(Centre(), make_model(), make_pixels(2), [1, 0], classes=COLOURS, others=[0, 0])


def test_curves_are_the_probabilities_of_images_with_pixels_removed(pixels) -> None:
    model = make_model()
    maps = HeatMaps(np.random.default_rng(2).normal(size=(4, SIZE, SIZE)).astype(np.float32), list("abcd"), {})
    found = deletion_curves(model, pixels, TARGETS, maps, classes=COLOURS, steps=4, filling="mean", at_once=25)
    np.testing.assert_array_equal(found.shares, [0, 0.25, 0.5, 0.75, 1])
    for at, target in enumerate(TARGETS):
        order = np.argsort(-maps.maps[at].ravel())
        for step in range(5):
            most = np.zeros(SIZE * SIZE, dtype=np.float32)
            most[order[: step * SIZE * SIZE // 4]] = 1
            for curve, kept in ((found.deletion, 1 - most), (found.insertion, most)):
                image = pixels[at] * torch.from_numpy(kept.reshape(SIZE, SIZE))
                expected = model.logits(image[None], COLOURS).double().softmax(dim=1)[0, target].item()
                assert curve[at, step] == pytest.approx(expected, abs=1e-6)
    area = sum((found.deletion[:, step] + found.deletion[:, step + 1]) / 8 for step in range(4))
    np.testing.assert_allclose(found.deletion_area, area)


def test_a_map_of_the_true_evidence_has_better_curves_than_its_opposite(pixels) -> None:
    model = make_model()
    targets = model.logits(pixels, COLOURS).argmax(dim=1).numpy()
    curves = {
        name: deletion_curves(model, pixels, targets, maps, classes=COLOURS, filling="mean")
        for name, maps in {"true": corner_maps(1, 0), "false": corner_maps(0, 1), "none": corner_maps(1, 1)}.items()
    }
    insertion = {name: curve.insertion_area.mean() for name, curve in curves.items()}
    deletion = {name: curve.deletion_area.mean() for name, curve in curves.items()}
    assert insertion["true"] > insertion["none"] > insertion["false"]
    assert deletion["true"] < deletion["none"] < deletion["false"]


def test_pixels_of_equal_relevance_go_in_a_random_order_that_no_batch_changes(pixels) -> None:
    rank = removal_rank(corner_maps(0, 1).maps, (SIZE, SIZE), seed=1)
    assert (rank[:, :CORNER, :CORNER] >= 0.75).all()
    assert not np.array_equal(rank[0], rank[1])
    np.testing.assert_array_equal(removal_rank(corner_maps(0, 1).maps[2:], (SIZE, SIZE), seed=1, start=2), rank[2:])
    maps = Uniform().explain(make_model(), pixels, TARGETS, classes=COLOURS)
    whole, parts = (
        deletion_curves(make_model(), pixels, TARGETS, maps, classes=COLOURS, steps=4, at_once=many) for many in (99, 1)
    )
    np.testing.assert_allclose(whole.deletion, parts.deletion, atol=1e-6)


def test_curves_of_the_wrong_maps_are_refused(pixels) -> None:
    with pytest.raises(InputError, match="3 images but 4 maps"):
        deletion_curves(make_model(), pixels[:3], TARGETS[:3], corner_maps(1, 0), classes=COLOURS)
    with pytest.raises(InputError, match="at least one step"):
        deletion_curves(make_model(), pixels, TARGETS, corner_maps(1, 0), classes=COLOURS, steps=0)
