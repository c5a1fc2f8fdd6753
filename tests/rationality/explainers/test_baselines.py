"""The two maps that never look at the image."""

from __future__ import annotations

import numpy as np
import pytest
from corner_model import COLOURS, SIZE, make_model, make_pixels

from calibrant.errors import InputError
from calibrant.rationality import centre_mass, relevance_mass
from calibrant.rationality.explainers.centre import Centre
from calibrant.rationality.explainers.uniform import Uniform


def explained(explainer):
    return explainer.explain(make_model(), make_pixels(), [0, 1, 2], classes=COLOURS)


def test_the_relevance_mass_of_a_uniform_map_is_the_area_of_the_object() -> None:
    found = explained(Uniform())
    assert found.evidence.all()
    masks = np.zeros((3, SIZE, SIZE), dtype=bool)
    masks[:, 2:5, 1:7] = True
    np.testing.assert_allclose(relevance_mass(found.maps, masks), masks[0].sum() / (SIZE * SIZE - 1))


def test_the_centre_is_a_gaussian_of_the_stated_width() -> None:
    maps = explained(Centre(width=0.3)).maps
    assert (maps == maps[0]).all()
    for row in range(SIZE):
        for column in range(SIZE):
            squared = ((row + 0.5) / SIZE - 0.5) ** 2 + ((column + 0.5) / SIZE - 0.5) ** 2
            assert maps[0, row, column] == pytest.approx(np.exp(-squared / (2 * 0.3**2)), rel=1e-6)


def test_how_much_of_the_centre_falls_on_a_disc() -> None:
    # at 20, 30, 40 and 50 % area, as measured with another program before this one was written
    place = (np.arange(64) + 0.5) / 64 - 0.5
    profile = Centre()._profile(64).numpy()
    maps = np.repeat((profile[:, None] * profile)[None], 4, axis=0)
    masks = np.stack([place[:, None] ** 2 + place**2 < area / np.pi for area in (0.2, 0.3, 0.4, 0.5)])
    np.testing.assert_allclose(relevance_mass(maps, masks), [0.45, 0.60, 0.72, 0.80], atol=0.01)


def test_the_centre_is_that_of_area_matched_measures() -> None:
    masks = np.random.default_rng(0).random((3, SIZE, SIZE)) < 0.4
    np.testing.assert_allclose(relevance_mass(explained(Centre()).maps, masks), centre_mass(masks), atol=1e-6)


def test_a_centre_without_width_is_refused() -> None:
    with pytest.raises(InputError, match="must be above 0"):
        Centre(width=0)
