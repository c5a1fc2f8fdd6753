"""PT and IR over thresholds, per group and per area, and relevance mass without the object's size."""

from __future__ import annotations

import numpy as np
import pytest

from calibrant.errors import InputError
from calibrant.rationality import (
    area_matched,
    area_quarters,
    by_group,
    centre_mass,
    relevance_mass,
    summary,
    threshold_curve,
)


def make_answers(images: int = 200) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(0)
    mass = draw.random(images)
    mass[::20] = np.nan
    return draw.random(images) < 0.7, mass


def test_the_curve_is_the_summary_at_every_threshold() -> None:
    correct, mass = make_answers()
    curve = threshold_curve(correct, mass, resamples=20)
    assert [point["threshold"] for point in curve] == [0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7]
    for point in curve:
        plain = summary(correct, mass, point["threshold"])
        for name in ("RW", "PT", "IR", "IR_minus_accuracy"):
            assert point[name].value == pytest.approx(plain[name])
    assert np.all(np.diff([point["PT"].value for point in curve]) <= 0)
    with pytest.raises(InputError, match="at least one threshold"):
        threshold_curve(correct, mass, [])


def test_groups_are_measured_by_themselves() -> None:
    correct, mass = make_answers()
    groups = np.where(np.arange(200) < 20, "rare", "common")
    rows = by_group(correct, mass, groups, units=np.arange(200) // 2, resamples=20)
    assert [(row["group"], row["n"], row["units"], row["note"]) for row in rows] == [
        ("common", 180, 90, ""),
        ("rare", 20, 10, "too few to tell"),
    ]
    for row in rows:
        here = groups == row["group"]
        assert row["measures"]["PT"].value == pytest.approx(summary(correct[here], mass[here])["PT"])
    together = sum(row["n"] * row["measures"]["undefined"].value for row in rows)
    assert together == pytest.approx(np.isnan(mass).sum())
    away = np.arange(200) % 10 == 1
    apart = by_group(correct, mass, groups, outside=away, units=np.arange(200) // 2, resamples=20)
    for row in apart:
        here = (groups == row["group"]) & ~away
        assert row["measures"]["outside"] == row["n"] / 10
        assert row["measures"]["PT"].value == pytest.approx(summary(correct[here], mass[here])["PT"])
    point = threshold_curve(correct, mass, [0.5], outside=away, resamples=20)[0]
    assert point["PT"].value == pytest.approx(summary(correct, mass, outside=away)["PT"])
    with pytest.raises(InputError, match="the groups have shape"):
        by_group(correct, mass, groups[:3])


def test_quarters_hold_equally_many_and_keep_equal_areas_together() -> None:
    area = np.random.default_rng(1).permutation(np.append(np.arange(1, 101) / 200, [0.0, 0.0]))
    names, counts = np.unique(area_quarters(area), return_counts=True)
    assert counts.tolist() == [25, 25, 25, 25, 2]
    assert names[0] == "1st quarter (0.5 % to 12.5 %)"
    assert names[-1] == "outside the image"
    tied = area_quarters([0.2] * 7 + [0.9])
    assert len(set(tied[:7])) == 1
    assert set(area_quarters([0.0, 0.0])) == {"outside the image"}
    assert set(area_quarters([1.0])) == {"1st quarter (100.0 % to 100.0 %)"}
    with pytest.raises(InputError, match="share of the image"):
        area_quarters([20.0])


def test_object_size_alone_passes_for_rationality_until_it_is_taken_out() -> None:
    """Maps of noise: valid wherever the object fills the image, but not above what the area gives away."""
    draw = np.random.default_rng(2)
    maps = draw.random((60, 16, 16))
    masks = np.zeros((60, 16, 16), dtype=bool)
    masks[:30, :14] = True
    masks[30:, :4] = True
    mass = relevance_mass(maps, masks)
    correct = draw.random(60) < 0.5
    groups = [row["measures"]["PT"].value for row in by_group(correct, mass, area_quarters(masks.mean(axis=(1, 2))))]
    assert groups == [0, 1]
    found = area_matched(mass, masks)
    means = found.means()
    assert means["above_uniform"].low < 0 < means["above_uniform"].high
    assert means["density"].low < 1 < means["density"].high
    assert means["mass"].value == pytest.approx(mass.mean())
    np.testing.assert_allclose(found.above_centre, mass - centre_mass(masks))


def test_the_centre_is_a_gaussian_at_the_centre_of_the_image() -> None:
    masks = np.random.default_rng(3).random((2, 5, 8)) < 0.5
    image = np.empty((5, 8))
    for row in range(5):
        for column in range(8):
            squared = ((row + 0.5) / 5 - 0.5) ** 2 + ((column + 0.5) / 8 - 0.5) ** 2
            image[row, column] = np.exp(-squared / (2 * 0.3**2))
    stretched = (image - image.min()) / (image.max() - image.min())
    expected = [stretched[mask].sum() / stretched.sum() for mask in masks]
    np.testing.assert_allclose(centre_mass(masks, width=0.3), expected)


def test_the_centre_passes_for_evidence_where_photographers_put_objects() -> None:
    # discs at the centre of 20, 30, 40 and 50 % area, as measured with another program
    place = (np.arange(64) + 0.5) / 64 - 0.5
    masks = np.stack([place[:, None] ** 2 + place**2 < area / np.pi for area in (0.2, 0.3, 0.4, 0.5)])
    np.testing.assert_allclose(centre_mass(masks), [0.45, 0.60, 0.72, 0.80], atol=0.01)


def test_images_without_evidence_or_object_are_left_out_of_means() -> None:
    masks = np.zeros((3, 4, 4), dtype=bool)
    masks[:2, :2] = True
    found = area_matched([0.75, np.nan, 0.0], masks)
    assert found.outside.tolist() == [False, False, True]
    assert np.isnan(found.density).tolist() == [False, True, True]
    assert found.means()["density"].value == pytest.approx(1.5)
    assert found.means(["a", "b", "c"])["above_uniform"].value == pytest.approx(0.25)
    with pytest.raises(InputError, match="no image has both"):
        area_matched([np.nan], masks[:1]).means()
    with pytest.raises(InputError, match="3 masks"):
        area_matched([0.5], masks)
    with pytest.raises(InputError, match="units have shape"):
        found.means(["a"])
    with pytest.raises(InputError, match="above 0"):
        centre_mass(masks, width=0)
