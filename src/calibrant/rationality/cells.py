"""Right or wrong answer, valid or invalid evidence: the four cells, PT and IR."""

from __future__ import annotations

from typing import Any

import numpy as np

from calibrant.arrays import Array, Float64, as_array
from calibrant.errors import InputError
from calibrant.rationality.heat_maps import Bool

THRESHOLD = 0.5
WRONG, RIGHT = range(2)
VALID, INVALID, UNDEFINED = range(3)


def summary(
    correct: Any, relevance_mass: Any, threshold: float = THRESHOLD, *, outside: Any = None
) -> dict[str, float]:
    """Measure whether a model is right, and right for the right reason.

    Evidence is valid where the relevance mass is at least the threshold. Images without evidence are undefined: they
    stand in no cell and count for nothing but ``undefined``, so the accuracy here is that of the others. Images whose
    object was cropped away have invalid evidence; those named in `outside` are left out and counted instead.

    Args:
        correct: bool [N], whether the answer is right.
        relevance_mass: float [N], 0 to 1, as `relevance_mass` gives it; NaN where there is no evidence.
        threshold: from which mass on evidence is valid.
        outside: bool [N], whether the object lies outside the image, so that no evidence could be valid; None leaves
            no image out.

    Returns:
        ``RR``, ``RW``, ``WR``, ``WW`` (shares of the images that have evidence; the first letter says whether the
        answer is right or wrong, the second the evidence), ``undefined`` (share of the images that are not left out),
        ``PT`` = RR / (RR + RW) (Prediction Trustworthiness), ``IR`` = RR / (RR + WR) (Inference Reliability),
        ``accuracy`` = RR + RW, ``valid`` = RR + WR, ``PT_minus_valid``, ``IR_minus_accuracy`` and ``odds_ratio`` =
        RR WW / (RW WR) (0, 0 and 1 where answer and evidence have nothing to do with each other), ``n`` (images),
        ``no_evidence`` and ``outside`` (how many of them) and ``threshold``. NaN where the denominator is 0, as PT is
        if no answer is right.

    Raises:
        InputError: if lengths differ, a mass is no share, or the threshold is none.

    Source: Wang et al., Beyond Accuracy: On the Effects of Fine-tuning Towards Vision-Language Model's Prediction
    Rationality, AAAI 2025 (PT and IR); the differences and the odds ratio are ours.

    Example:
        >>> found = summary([True, True, True, False], [0.9, 0.6, 0.2, 0.7])
        >>> round(found["PT"], 3), round(found["IR"], 3), found["accuracy"], found["RW"]
        (0.667, 0.667, 0.75, 0.25)
    """
    right, mass = checked(correct, relevance_mass, threshold)
    inside = inside_of(outside, len(mass))
    sums = cell_table(right[inside], mass[inside], threshold).sum(axis=0)
    values = {name: float(value) for name, value in measures_of(sums).items()}
    return {**values, **counts_of(mass, inside, threshold)}


def checked(correct: Any, relevance_mass: Any, threshold: float = THRESHOLD) -> tuple[Bool, Float64]:
    """Turn correctness and relevance mass into bool [N] and float64 [N], or say what is wrong with them.

    Args:
        correct: true and false, or 1 and 0, [N].
        relevance_mass: [N], 0 to 1 or NaN.
        threshold: 0 to 1.

    Returns:
        Both.

    Raises:
        InputError: as for `summary`.
    """
    right, mass = as_array(correct, "correct"), as_array(relevance_mass, "relevance mass")
    if right.ndim != 1 or right.shape != mass.shape or len(right) == 0:
        raise InputError(f"correct {list(right.shape)} and relevance mass {list(mass.shape)} need one value per image")
    if right.dtype.kind not in "biuf" or not np.isin(right, (0, 1)).all():
        raise InputError("correct must say true or false for each image")
    if mass.dtype.kind not in "iuf" or ((mass < 0) | (mass > 1 + 1e-6)).any():
        raise InputError("a relevance mass is a share from 0 to 1, or NaN where there is no evidence")
    if not 0 <= threshold <= 1:
        raise InputError(f"the threshold of the relevance mass is a share from 0 to 1, not {threshold}")
    return right.astype(bool), mass.astype(np.float64)


def inside_of(outside: Any, images: int) -> Bool:
    """Say which images have their object in them, bool [N].

    Args:
        outside: bool [N], whether the object lies outside; None if no image is to be left out.
        images: N.

    Returns:
        The opposite.

    Raises:
        InputError: if it is not one true or false per image.
    """
    if outside is None:
        return np.ones(images, dtype=bool)
    flags = as_array(outside, "outside")
    if flags.shape != (images,) or flags.dtype.kind != "b":
        raise InputError(f"outside must say true or false for each of {images} images")
    return ~flags


def counts_of(mass: Float64, inside: Bool, threshold: float) -> dict[str, float]:
    """Count all images, those without evidence, and those whose object lies outside; the threshold stands beside."""
    without = int(np.isnan(mass[inside]).sum())
    return {"n": len(mass), "no_evidence": without, "outside": int((~inside).sum()), "threshold": threshold}


def cell_table(right: Bool, mass: Float64, threshold: float) -> Float64:
    """Lay images out so that sums over them are cells.

    Args:
        right: bool [N].
        mass: float64 [N].
        threshold: from which mass on evidence is valid.

    Returns:
        float64 [N, 2, 3], one 1 per image: wrong or right answer, and valid, invalid or undefined evidence.
    """
    evidence = np.where(np.isnan(mass), UNDEFINED, np.where(mass >= threshold, VALID, INVALID))
    table = np.zeros((len(mass), 2, 3))
    table[np.arange(len(mass)), right.astype(np.int64), evidence] = 1
    return table


def measures_of(cells: Float64) -> dict[str, Array]:
    """Compute every measure from sums over images, or from the weight of the cells.

    Args:
        cells: float64 [..., 2, 3]: wrong or right answer, and valid, invalid or undefined evidence.

    Returns:
        Name to values [...], as `summary` explains them.

    Example:
        >>> float(measures_of(np.array([[1.0, 1, 0], [6, 2, 0]]))["PT"])
        0.75
    """
    wr, ww, unclear_wrong = np.moveaxis(cells[..., WRONG, :], -1, 0)
    rr, rw, unclear_right = np.moveaxis(cells[..., RIGHT, :], -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        total = rr + rw + wr + ww
        shares = {"RR": rr / total, "RW": rw / total, "WR": wr / total, "WW": ww / total}
        pt, ir = rr / (rr + rw), rr / (rr + wr)
        accuracy, valid = (rr + rw) / total, (rr + wr) / total
        unclear = unclear_wrong + unclear_right
        return {
            **shares,
            "undefined": unclear / (total + unclear),
            "PT": pt,
            "IR": ir,
            "accuracy": accuracy,
            "valid": valid,
            "PT_minus_valid": pt - valid,
            "IR_minus_accuracy": ir - accuracy,
            "odds_ratio": (rr * ww) / (rw * wr),
        }
