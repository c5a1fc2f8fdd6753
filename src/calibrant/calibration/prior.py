"""Classes of other frequencies than where confidence was calibrated: correct probabilities, or estimate them first."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from calibrant.arrays import Array, Float64, as_floats, as_labels, as_probabilities
from calibrant.calibration.calibrator import Calibrator, ProbabilityCalibrator
from calibrant.errors import CalibrantWarning, InputError, unknown
from calibrant.predictions import Predictions

STEPS = 2000  # of EM at most
CHANGE = 1e-8  # of the frequencies altogether, below which EM has arrived
FEW = 10  # images per class, below which an estimate is warned of
STRENGTH = 3.0  # images per class that the known frequencies count like in an estimate


@dataclass(frozen=True, eq=False)
class Prior:
    """How frequent the classes were where confidence was calibrated, and how frequent they are now.

    Args:
        classes: C names.
        known: frequencies where it was calibrated, [C], above 0, sum 1.
        assumed: frequencies of the images to come, [C], sum 1.
        estimated_on: how many images the assumed ones were estimated on; 0 where somebody gave them.

    Raises:
        InputError: if they are no frequencies of these classes.

    Example:
        >>> prior = Prior(["ok", "defect"], [0.5, 0.5], [0.9, 0.1])
        >>> prior.correct([[0.5, 0.5], [0.1, 0.9]]).round(2)
        array([[0.9, 0.1],
               [0.5, 0.5]])
    """

    classes: Sequence[str]
    known: Array
    assumed: Array
    estimated_on: int = 0

    def __post_init__(self) -> None:
        for name in ("known", "assumed"):
            given = np.asarray(getattr(self, name), dtype=np.float64)
            as_probabilities(given[None] if given.ndim == 1 else given, f"{name} frequencies")
            object.__setattr__(self, name, as_floats(given, f"{name} frequencies", (len(self.classes),)))
        if (self.known == 0).any():
            absent = self.classes[int(self.known.argmin())]
            raise InputError(f"class '{absent}' never occurs where confidence was calibrated, so nothing corrects it")

    @property
    def ratio(self) -> Float64:
        """How many times as frequent each class is as where confidence was calibrated, [C]."""
        return np.asarray(self.assumed / self.known)

    def correct(self, probabilities: Any) -> Float64:
        """Correct calibrated probabilities for the frequencies that are assumed.

        It is right where images of a class look the same as before, and only their number differs.

        Args:
            probabilities: calibrated, [N, C].

        Returns:
            float64 [N, C]; rows sum to 1.

        Raises:
            InputError: if the rows are no probabilities of these classes, or an image can only belong to classes that
                do not occur any more.

        Source: Saerens, Latinne and Decaestecker, Adjusting the outputs of a classifier to new a priori probabilities,
        2002, eq. 2.4.
        """
        weighted = _of_classes(probabilities, len(self.classes)) * self.ratio
        total = weighted.sum(axis=1, keepdims=True)
        if (total == 0).any():
            row = int(total.argmin())
            raise InputError(f"the image in row {row} can only belong to classes whose assumed frequency is 0")
        corrected: Float64 = weighted / total
        return corrected

    def sample(self, labels: Any, seed: int = 0) -> npt.NDArray[np.bool_]:
        """Choose images so that the classes become as frequent as assumed: a test set of the images to come.

        Every image is kept or not by a draw of its own, with a chance in proportion to the ratio of its class. What is
        left is a plain sample of the assumed frequencies, so exact tests stay exact; it is the smaller, the more these
        differ from the known ones.

        Args:
            labels: class indices [N].
            seed: of the draws.

        Returns:
            Which are kept, bool [N].

        Raises:
            InputError: if a label is no class.

        Source: rejection sampling, as in Park, Dobriban, Lee and Bastani, PAC prediction sets under covariate shift,
        2022.
        """
        truth = as_labels(labels, len(np.asarray(labels)), len(self.classes))
        chance = (self.ratio / self.ratio.max())[truth]
        kept: npt.NDArray[np.bool_] = np.random.default_rng(seed).random(len(truth)) < chance
        return kept

    def record(self) -> dict[str, Any]:
        """Give both priors as JSON can hold them."""
        return {
            "known": dict(zip(self.classes, map(float, self.known), strict=True)),
            "assumed": dict(zip(self.classes, map(float, self.assumed), strict=True)),
            "estimated_on": self.estimated_on,
        }


class PriorCorrection(ProbabilityCalibrator):
    """A fitted calibrator whose probabilities are corrected for other class frequencies.

    Args:
        calibrator: a fitted calibrator.
        prior: both frequencies.

    Example:
        >>> from calibrant.calibration import Uncalibrated
        >>> rare = PriorCorrection(Uncalibrated(), Prior(["ok", "defect"], [0.5, 0.5], [0.9, 0.1]))
        >>> rare.predict_proba([[0.0, 0.0]])
        array([[0.9, 0.1]])
    """

    name: ClassVar[str] = "prior"
    source: ClassVar[str] = "Saerens et al. 2002"
    keeps_argmax: ClassVar[bool] = False
    keeps_sample_order: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False
    transfers: ClassVar[bool] = False

    def __init__(self, calibrator: Calibrator, prior: Prior) -> None:
        self.calibrator = calibrator
        self.prior = prior
        self.classes_ = list(prior.classes)

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]  # what the calibrator inside reads
        """What it cannot be used without besides logits."""
        return self.calibrator.reads

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        raise InputError("frequencies are corrected after calibration; fit the calibrator inside")

    def _probabilities(self, predictions: Predictions) -> Float64:
        return self.prior.correct(self.calibrator(predictions))

    def check_fitted(self) -> None:
        """Refuse to go on unless the calibrator inside is fitted."""
        self.calibrator.check_fitted()

    def save(self, path: Any) -> None:
        """Refuse: the calibrator and the frequencies are stored each by itself, since frequencies change."""
        raise InputError("a correction for other class frequencies is not stored as a calibrator; save the one inside")

    def state(self) -> dict[str, Any]:
        """Give all that makes it up."""
        return {"calibrator": self.name, "of": self.calibrator.state(), "prior": self.prior.record()}


def class_frequencies(labels: Any, classes: Sequence[str]) -> Float64:
    """Count how frequent the classes are.

    Where some class never occurs, half an image is added to each, as by a Jeffreys prior, so that none is impossible.

    Args:
        labels: class indices [N], at least one.
        classes: C names.

    Returns:
        float64 [C], above 0, sum 1.

    Raises:
        InputError: if there is no label, or one is no class.

    Warns:
        CalibrantWarning: if some class never occurs.

    Example:
        >>> class_frequencies([0, 0, 0, 1], ["ok", "defect"])
        array([0.75, 0.25])
    """
    truth = as_labels(labels, len(np.asarray(labels)), len(classes))
    if len(truth) == 0:
        raise InputError("class frequencies need at least one labelled image")
    count = np.bincount(truth, minlength=len(classes)).astype(np.float64)
    absent = np.flatnonzero(count == 0)
    if len(absent):
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        warnings.warn(
            f"class '{classes[absent[0]]}'{more} never occurs among {len(truth)} images; half an image is added to "
            "each class, so that none is impossible",
            CalibrantWarning,
            stacklevel=2,
        )
        count += 0.5
    frequencies: Float64 = count / count.sum()
    return frequencies


def given_prior(known: Any, given: str | Mapping[str, float], classes: Sequence[str]) -> Prior:
    """Assume frequencies of some classes; the others share the rest as they do where confidence was calibrated.

    Args:
        known: frequencies where it was calibrated, [C].
        given: class name to frequency, or as text ``defect=0.02``, several with commas, a name with a comma in quotes.
        classes: C names.

    Returns:
        Both frequencies.

    Raises:
        InputError: if a class is unknown or there twice, or the frequencies leave nothing for the other classes, or sum
            to something else than 1 where there are no others.

    Example:
        >>> given_prior([0.5, 0.3, 0.2], "defect=0.02", ["ok", "scratch", "defect"]).assumed.round(4)
        array([0.6125, 0.3675, 0.02  ])
    """
    named = _read(given) if isinstance(given, str) else {name: float(value) for name, value in given.items()}
    if not named:
        raise InputError("name at least one class with its frequency, such as defect=0.02")
    for name, value in named.items():
        if name not in classes:
            raise unknown("class", name, classes)
        if not 0 < value < 1:
            raise InputError(f"the frequency of '{name}' must lie between 0 and 1, not at {value:g}")
    total = sum(named.values())
    before = as_floats(np.asarray(known, dtype=np.float64), "known frequencies", (len(classes),))
    rest = np.array([name not in named for name in classes])
    if rest.any() and total >= 1:
        raise InputError(f"the given frequencies sum to {total:g} and leave nothing for the other classes")
    if not rest.any() and abs(total - 1) > 1e-6:
        raise InputError(f"frequencies of all classes must sum to 1, not to {total:g}")
    assumed = np.array([named.get(name, 0.0) for name in classes])
    if rest.any():
        assumed[rest] = before[rest] * ((1 - total) / before[rest].sum())
    return Prior(list(classes), before, assumed / assumed.sum())


def estimated_prior(
    probabilities: Any, known: Any, classes: Sequence[str], *, source: Any = None, strength: float = STRENGTH
) -> Prior:
    """Estimate the class frequencies of unlabelled images by EM.

    It is as good as the calibration of every class, and needs many images per class: with few, the likelihood alone
    takes classes away that are there. So the known frequencies count like some more images.

    Args:
        probabilities: calibrated, of the unlabelled images, [N, C].
        known: frequencies where they were calibrated, [C], above 0.
        classes: C names.
        source: mean calibrated probability of each class where the known frequencies were counted, [C]; a class that is
            answered too often there is not taken for frequent. None where calibration leaves no such difference.
        strength: how many images per class the known frequencies count like; 0 for maximum likelihood, as published.

    Returns:
        Both frequencies.

    Raises:
        InputError: if the rows are no probabilities of these classes, or the strength is below 0.

    Warns:
        CalibrantWarning: if there are fewer than ten images per class, or EM has not arrived.

    Source: Saerens, Latinne and Decaestecker 2002, eq. 2.9; the mean probability as the start is that of Alexandari,
    Kundaje and Shrikumar, Maximum likelihood with bias-corrected calibration is hard-to-beat at label shift adaptation,
    2020; the images added are our own (a Dirichlet prior).

    Example:
        >>> table = [[0.9, 0.1]] * 800 + [[0.1, 0.9]] * 200
        >>> estimated_prior(table, [0.5, 0.5], ["ok", "defect"], strength=0).assumed.round(3)
        array([0.875, 0.125])
        >>> estimated_prior(table, [0.5, 0.5], ["ok", "defect"]).assumed.round(3)
        array([0.87, 0.13])
    """
    start = Prior(list(classes), known, known if source is None else source)
    if not 0 <= strength < np.inf:
        raise InputError(f"the strength of the known frequencies must be 0 or more, not {strength}")
    if (start.assumed == 0).any():
        raise InputError(f"the mean probability of class '{classes[int(start.assumed.argmin())]}' is 0")
    p = _of_classes(probabilities, len(classes))
    if len(p) < FEW * len(classes):
        warnings.warn(
            f"the frequencies of {len(classes)} classes are estimated on only {len(p)} images; expect large errors",
            CalibrantWarning,
            stacklevel=2,
        )
    added = strength * len(classes)
    now = start.assumed
    for _ in range(STEPS):
        before, ratio = now, now / start.assumed
        # the sum of the corrected probabilities, which need not be written down themselves
        counted = ratio * (p.T @ (1 / (p @ ratio)))
        now = (counted + added * start.assumed) / (len(p) + added)
        if np.abs(now - before).sum() < CHANGE:
            break
    else:
        warnings.warn(
            f"the estimate of the class frequencies has not settled after {STEPS} steps",
            CalibrantWarning,
            stacklevel=2,
        )
    assumed = start.known * (now / start.assumed)
    return Prior(list(classes), start.known, assumed / assumed.sum(), len(p))


def _of_classes(probabilities: Any, many: int) -> Float64:
    p = as_probabilities(probabilities).astype(np.float64, copy=False)
    if p.shape[1] != many:
        raise InputError(f"there are frequencies of {many} classes but probabilities of {p.shape[1]}")
    return p


def _read(text: str) -> dict[str, float]:
    quote = '"' if '"' in text else "'"
    named: dict[str, float] = {}
    for part in next(csv.reader([text], skipinitialspace=True, quotechar=quote), []):
        name, equals, value = (one.strip() for one in part.rpartition("="))
        try:
            frequency = float(value)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise InputError(f"a prior is written CLASS=FREQUENCY, such as defect=0.02, or estimate, not '{part}'")
        if name in named:
            raise InputError(f"class '{name}' has two frequencies")
        named[name] = frequency
    return named
