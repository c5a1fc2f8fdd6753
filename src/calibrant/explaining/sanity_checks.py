"""Does an explainer deserve belief on this model? The checks of `calibrant.rationality.sanity` on some images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from calibrant.errors import InputError
from calibrant.explaining.measures import plain
from calibrant.metrics import Estimate, paired_difference

if TYPE_CHECKING:
    from calibrant.arrays import Array
    from calibrant.explaining.subject import Subject
    from calibrant.rationality import HeatMaps
    from calibrant.tuning.tuned_model import Answers

OTHERS = ("attention-gradient", "grad-eclip", "grad-cam", "legrad")
"""Explainers that cost one forward and one backward, with which another is compared."""


def check_explainer(subject: Subject, images: int) -> dict[str, Any]:
    """Check how the explainer behaves on the tuned model.

    Args:
        subject: what is explained, and how.
        images: how many images to check it on, drawn at random, always the same.

    Returns:
        ``images``; rank correlations of its maps, mean over images: with those of a model of ``randomised`` weights
        (near 0 if it shows what was learnt), of ``another_class`` (below 1 if it tells why this class), and of other
        explainers under ``agreement``; ``not_for_this_model``, explainers that cannot read it. ``deletion`` and
        ``insertion``: by how much the area under the curve of the probability changes against a random order of pixels,
        as they go (below 0 is good) and come (above 0 is good).

    Raises:
        InputError: as the explainer.
    """
    from calibrant.rationality import rank_correlation
    from calibrant.rationality.explainers.registry import explainer
    from calibrant.rationality.sanity.deletion import deletion_curves
    from calibrant.rationality.sanity.label_swap import label_swap
    from calibrant.rationality.sanity.randomised_weights import randomised

    chosen, way, model = subject.chosen, subject.way, subject.model
    rows = np.sort(np.random.default_rng(0).permutation(len(chosen))[:images])
    some = chosen.subset(rows)
    pixels = [np.asarray(some.images[row]) for row in range(len(some))]
    units = None if subject.units is None else subject.units[rows]

    def maps_of(name: str, of: Answers, parameters: Mapping[str, Any]) -> HeatMaps:
        other = replace(way, explainer=name, parameters=parameters)
        return other.explain(of, pixels, some.labels, {}, classes=some.classes, ids=some.ids)

    own = maps_of(way.explainer, model, way.parameters)
    uniform = maps_of("uniform", model, {})
    forgetful = maps_of(way.explainer, randomised(model), way.parameters)
    swapped = label_swap(
        explainer(way.explainer, **way.parameters),
        model,
        pixels,
        some.labels,
        classes=some.classes,
        score=way.score,
        layers=way.layers,
    )
    agreement, unfit = {}, []
    for name in OTHERS:
        if name == way.explainer:
            continue
        try:
            agreement[name] = _mean(rank_correlation(own.maps, maps_of(name, model, {}).maps), units)
        except InputError:  # such as attention in a tower that has none
            unfit.append(name)
    ordered, unordered = (
        deletion_curves(model, pixels, some.labels, maps, classes=some.classes) for maps in (own, uniform)
    )
    return {
        "images": len(some),
        "randomised": plain(_mean(rank_correlation(own.maps, forgetful.maps), units)),
        "another_class": plain(_mean(swapped, units)),
        "agreement": plain(agreement),
        "not_for_this_model": unfit,
        "deletion": plain(paired_difference(unordered.deletion_area, ordered.deletion_area, units=units)),
        "insertion": plain(paired_difference(unordered.insertion_area, ordered.insertion_area, units=units)),
    }


def _mean(values: Array, units: Array | None) -> Estimate:
    """Average over the images of which both maps hold evidence."""
    known = ~np.isnan(values)
    if not known.any():
        return Estimate(float("nan"), float("nan"), float("nan"))
    own = None if units is None else units[known]
    return paired_difference(np.zeros(int(known.sum())), values[known], units=own)
