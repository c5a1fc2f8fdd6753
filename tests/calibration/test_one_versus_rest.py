"""Rows of estimates that were made class by class."""

import numpy as np
import pytest

from calibrant.calibration.one_versus_rest import check_map, normalised
from calibrant.errors import InputError


def test_rows_are_divided_by_their_sum():
    estimates, before = np.array([[0.2, 0.2], [1.0, 0.0], [0.0, 0.0], [1e-310, 0.0]]), np.array([[0.9, 0.1]] * 4)
    np.testing.assert_allclose(normalised(estimates, before), [[0.5, 0.5], [1.0, 0.0], [0.9, 0.1], [1.0, 0.0]])


@pytest.mark.parametrize("points", [[[0.0], [0.0]], np.ones((2, 1), int), np.ones(2), np.full((2, 1), np.nan)])
def test_a_map_must_be_an_array_of_probabilities(points):
    with pytest.raises(InputError, match="map_ must go from rising probabilities"):
        check_map("map_", points)
