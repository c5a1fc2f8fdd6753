"""Relevance mass with the size of the object taken out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from calibrant.arrays import Float64, as_array
from calibrant.errors import InputError
from calibrant.metrics import Estimate, paired_difference
from calibrant.rationality.heat_maps import Bool
from calibrant.rationality.relevance import as_masks, object_area
from calibrant.rationality.relevance import relevance_mass as mass_on

WIDTH = 0.25


@dataclass(frozen=True, eq=False)
class AreaMatched:
    """How relevance mass compares with maps that never look at the image, for N images.

    Args:
        mass: float64 [N], relevance mass of the maps; NaN where there is no evidence.
        area: float64 [N], share of the image that the object covers: what a uniform map scores.
        centre: float64 [N], what a Gaussian at the centre of the image scores.
    """

    mass: Float64
    area: Float64
    centre: Float64

    @property
    def density(self) -> Float64:
        """Mass over area: how much more relevance a pixel of the object has than the mean pixel, [N]; 1 tells nothing.

        NaN where there is no evidence, or the object lies outside the image. It cannot exceed 1 / area, so it does not
        compare small objects with large ones either.
        """
        return np.where(self.area > 0, self.mass / np.where(self.area > 0, self.area, 1), np.nan)

    @property
    def above_uniform(self) -> Float64:
        """Mass minus that of a uniform map, [N]."""
        return self.mass - self.area

    @property
    def above_centre(self) -> Float64:
        """Mass minus that of the map of the centre, [N]."""
        return self.mass - self.centre

    @property
    def outside(self) -> Bool:
        """Whether the object lies outside the image, so that nothing can lie on it, bool [N]."""
        result: Bool = self.area == 0
        return result

    def means(
        self, units: Any = None, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
    ) -> dict[str, Estimate]:
        """Average over the images that have evidence and an object, with intervals.

        Args:
            units: one value [N] per image, equal for images that depend on each other; None if all are independent.
            level: confidence.
            resamples: redrawn sets.
            seed: of the redraws.

        Returns:
            ``mass``, ``area``, ``centre``, ``density``, ``above_uniform`` and ``above_centre``, each as `Estimate` with
            the interval of redrawn units.

        Raises:
            InputError: if no image has evidence and an object, or the units are not one per image.
        """
        told = ~np.isnan(self.density)
        if not told.any():
            raise InputError("no image has both a heat map that points somewhere and an object to point at")
        own = None if units is None else as_array(units, "units")
        if own is not None and own.shape != told.shape:
            raise InputError(f"there are {len(told)} images but the units have shape {list(own.shape)}")
        own = None if own is None else own[told]
        nothing = np.zeros(int(told.sum()))
        return {
            name: paired_difference(
                nothing, getattr(self, name)[told], units=own, level=level, resamples=resamples, seed=seed
            )
            for name in ("mass", "area", "centre", "density", "above_uniform", "above_centre")
        }


def area_matched(relevance_mass: Any, masks: Any, width: float = WIDTH) -> AreaMatched:
    """Compare relevance mass with what the size and the place of the object give away for nothing.

    Args:
        relevance_mass: float [N], as `relevance_mass` gives it.
        masks: bool [N, H, W], those that it was measured with.
        width: standard deviation of the Gaussian at the centre, as a share of the image's height and width.

    Returns:
        Mass, area and the mass of the centre of each image, and their differences.

    Raises:
        InputError: if there are not as many masks as masses, or the width is not above 0.

    Example:
        >>> masks = np.zeros((1, 8, 8), dtype=bool)
        >>> masks[0, 2:6, 2:6] = True
        >>> found = area_matched([0.5], masks)
        >>> found.density, found.above_uniform, found.above_centre.round(2)
        (array([2.]), array([0.25]), array([-0.06]))
    """
    mass, on = as_array(relevance_mass, "relevance mass").astype(np.float64), as_masks(masks)
    if mass.shape != on.shape[:1]:
        raise InputError(f"there are {len(on)} masks but the relevance mass has shape {list(mass.shape)}")
    return AreaMatched(mass, object_area(on), centre_mass(on, width))


def centre_mass(masks: Any, width: float = WIDTH) -> Float64:
    """Relevance mass of a Gaussian at the centre of the image, which never looks at it.

    Args:
        masks: bool [N, H, W].
        width: its standard deviation, as a share of the image's height and width.

    Returns:
        float64 [N].

    Raises:
        InputError: if a mask holds anything but true and false, or the width is not above 0.

    Example:
        >>> centre_mass(np.ones((1, 8, 8), dtype=bool))
        array([1.])
    """
    if not width > 0:
        raise InputError(f"the width of the centre baseline must be above 0, not {width}")
    on = as_masks(masks)
    rows, columns = (np.exp(-(_places(length) ** 2) / (2 * width**2)) for length in on.shape[1:])
    return mass_on(np.broadcast_to(rows[:, None] * columns, on.shape), on)


def _places(length: int) -> Float64:
    """Centres of the pixels along one side, from -1/2 to 1/2 of the image, float64 [length]."""
    return (np.arange(length) + 0.5) / length - 0.5
