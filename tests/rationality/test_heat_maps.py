"""Maps with their ids and settings: what they refuse, how they are stored, joined and enlarged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from calibrant.errors import InputError
from calibrant.predictions import Predictions
from calibrant.rationality import HeatMaps, resized, same_settings

SETTINGS = {"explainer": "attention-gradient", "layers": [3, 4], "score": "cosine"}


def make_maps() -> HeatMaps:
    maps = np.random.default_rng(0).normal(size=(4, 3, 5))
    maps[1] = 0.1
    maps[2, 0, 0] = np.nan
    return HeatMaps(maps, list("abcd"), SETTINGS)


def slowly_resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Write bilinear interpolation down pixel by pixel: centres of pixels lie at halves, and borders go on outwards."""
    result = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            value = 0.0
            y, x = (row + 0.5) * image.shape[0] / height - 0.5, (column + 0.5) * image.shape[1] / width - 0.5
            y, x = max(y, 0.0), max(x, 0.0)
            for i in range(image.shape[0] + 1):
                for j in range(image.shape[1] + 1):
                    weight = max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j))
                    value += weight * image[min(i, image.shape[0] - 1), min(j, image.shape[1] - 1)]
            result[row, column] = value
    return result


def test_constant_and_unfinished_maps_hold_no_evidence() -> None:
    found = make_maps()
    assert found.maps.dtype == np.float32
    assert found.evidence.tolist() == [True, False, False, True]
    assert len(found) == 4


def test_maps_come_back_from_a_file_as_they_were(tmp_path: Path) -> None:
    found = make_maps()
    found.save(tmp_path / "maps.safetensors")
    again = HeatMaps.load(tmp_path / "maps.safetensors")
    np.testing.assert_array_equal(again.maps, found.maps)
    assert (again.ids, again.settings) == (found.ids, SETTINGS)
    np.testing.assert_array_equal(again.evidence, found.evidence)


def test_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.safetensors"):
        HeatMaps.load(tmp_path / "absent.safetensors")
    (tmp_path / "short.safetensors").write_bytes(b"12345")
    with pytest.raises(InputError, match=r"short\.safetensors is truncated"):
        HeatMaps.load(tmp_path / "short.safetensors")
    Predictions([[0.0, 1.0]]).save(tmp_path / "logits.safetensors")
    with pytest.raises(InputError, match=r"logits\.safetensors holds no heat maps"):
        HeatMaps.load(tmp_path / "logits.safetensors")


def test_maps_are_joined_by_id() -> None:
    found = make_maps()
    joined = found.joined(Predictions(np.eye(4), ids=list("dbca")))
    assert joined.ids == list("dbca")
    np.testing.assert_array_equal(joined.maps, found.maps[[3, 1, 2, 0]])
    assert joined.settings == SETTINGS
    with pytest.raises(InputError, match="1 images have no heat map, such as 'e'"):
        found.joined(Predictions(np.eye(5), ids=list("abcde")))
    with pytest.raises(InputError, match="2 images have no prediction, such as 'c'"):
        found.joined(Predictions(np.eye(2), ids=list("ab")))
    with pytest.raises(InputError, match="no ids"):
        found.joined(Predictions(np.eye(4)))


def test_a_subset_keeps_names_and_maps_together() -> None:
    found = make_maps()
    for chosen in ([3, 0], np.array([False, True, True, False])):
        part = found.subset(chosen)
        for name, one in zip(part.ids, part.maps, strict=True):
            np.testing.assert_array_equal(one, found.maps["abcd".index(name)])
    for wrong in ([], [4], [0.5], [True, False]):
        with pytest.raises(InputError, match="subset of 4 heat maps"):
            found.subset(wrong)


@pytest.mark.parametrize(
    ("maps", "ids", "options", "message"),
    [
        (np.zeros((2, 3)), ["a", "b"], {}, r"\[N, height, width\]"),
        (np.zeros((0, 3, 3)), [], {}, r"\[N, height, width\]"),
        (np.zeros((2, 3, 3)), ["a"], {}, "2 heat maps but 1 ids"),
        (np.zeros((2, 3, 3)), ["a", "a"], {}, "'a' occurs 2 times"),
        (np.zeros((1, 3, 3)), ["a"], {"model": object()}, "JSON"),
        (np.zeros((1, 3, 3)), ["a"], {"width": float("nan")}, "JSON"),
    ],
)
def test_bad_maps_are_refused(maps: np.ndarray, ids: list[str], options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        HeatMaps(maps, ids, options)


@pytest.mark.parametrize("size", [(7, 11), (2, 3), (3, 5), (1, 1), (6, 2)])
def test_enlarging_is_that_of_torch(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    maps = np.random.default_rng(1).normal(size=(2, 3, 5)).astype(np.float32)
    found = resized(maps, size)
    theirs = torch.nn.functional.interpolate(torch.tensor(maps)[:, None], size, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(found, theirs[:, 0].numpy(), atol=1e-6)
    np.testing.assert_allclose(found, [slowly_resized(one, *size) for one in maps], atol=1e-6)


def test_many_maps_are_resized_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.random.default_rng(2).normal(size=(5, 2, 2))
    whole = resized(maps, (4, 4))
    monkeypatch.setattr("calibrant.rationality.heat_maps.AT_ONCE", 32)
    np.testing.assert_array_equal(resized(maps, (4, 4)), whole)


@settings(max_examples=30, deadline=None)
@given(st.floats(-1e6, 1e6), st.integers(1, 9), st.integers(1, 9))
def test_a_constant_map_stays_constant(value: float, height: int, width: int) -> None:
    assert np.ptp(resized(np.full((1, 3, 4), value), (height, width))) == 0


@settings(max_examples=30, deadline=None)
@given(arrays(np.float32, (1, 3, 3), elements=st.floats(-10, 10, width=32)))
def test_enlarging_invents_no_larger_value(maps: np.ndarray) -> None:
    found = resized(maps, (8, 5))
    assert found.min() >= maps.min() - 1e-5
    assert found.max() <= maps.max() + 1e-5


def test_a_map_that_is_not_finite_stays_so_at_every_size() -> None:
    maps = np.zeros((2, 5, 5))
    maps[0, 0, 0] = np.inf
    for size in ((1, 1), (9, 9)):
        found = resized(maps, size)
        assert np.isnan(found[0]).all()
        assert (found[1] == 0).all()
    with pytest.raises(InputError, match="0 x 3"):
        resized(maps, (0, 3))


def test_maps_of_other_settings_are_not_compared() -> None:
    found = make_maps()
    same_settings(found, {**SETTINGS, "layers": (3, 4)})
    with pytest.raises(InputError, match=r"layers is \[3, 4\] and None, score is 'cosine' and 'head'"):
        same_settings(found, {"explainer": "attention-gradient", "score": "head"})
    same_settings({"model": "a", "score": "head"}, {"model": "b", "score": "head"}, but=["model"])
    with pytest.raises(InputError, match="model is 'a' and 'b'"):
        same_settings({"model": "a"}, {"model": "b"})
