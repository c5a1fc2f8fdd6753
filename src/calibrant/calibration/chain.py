"""Calibrators one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from calibrant.arrays import Float64
from calibrant.calibration.calibrator import Calibrator, LogitCalibrator, ProbabilityCalibrator
from calibrant.errors import InputError
from calibrant.predictions import Predictions


class Chain(Calibrator):
    """Calibrators one behind the other: each is fitted on, and used on, what the one before it gives.

    Any number of logit calibrators, then at most one that ends in probabilities. Files and commands write a chain with
    plus signs: ``dac+temperature``. It keeps a promise if all of its parts keep it.

    Args:
        parts: the calibrators, first to last; they are not changed, `fit` works on copies.

    Attributes:
        parts_: the fitted copies.

    Example:
        >>> from calibrant.calibration import TemperatureScaling, Uncalibrated
        >>> chain = Chain([Uncalibrated(), TemperatureScaling()]).fit([[2.0, 0.0]] * 4, [0, 0, 0, 1])
        >>> chain.name, chain.predict_proba([[2.0, 0.0]]).round(2)
        ('none+temperature', array([[0.75, 0.25]]))
    """

    source: ClassVar[str] = ""
    fitted: ClassVar[tuple[str, ...]] = ("parts_",)

    parts_: list[Calibrator]

    def __init__(self, parts: Sequence[Calibrator]) -> None:
        self.parts = parts

    @property
    def name(self) -> str:  # type: ignore[override]  # the class attribute of other calibrators follows from the parts
        """The names of the parts with plus signs between them."""
        return "+".join(part.name for part in self.parts)

    @property
    def keeps_argmax(self) -> bool:  # type: ignore[override]
        """Whether all parts leave the answers alone."""
        return all(part.keeps_argmax for part in self.parts)

    @property
    def keeps_sample_order(self) -> bool:  # type: ignore[override]
        """Whether all parts leave the samples in the order of their confidence."""
        return all(part.keeps_sample_order for part in self.parts)

    @property
    def needs_labels(self) -> bool:  # type: ignore[override]
        """Whether a part reads labels."""
        return any(part.needs_labels for part in self.parts)

    @property
    def transfers(self) -> bool:  # type: ignore[override]
        """Whether all parts can be used on classes that they were not fitted on."""
        return all(part.transfers for part in self.parts)

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """What the parts cannot be used without besides logits, each once."""
        return tuple(dict.fromkeys(field for part in self.parts for field in part.reads))

    def transform(self, predictions: Predictions) -> Predictions:
        """Change the logits of predictions, if no part ends in probabilities.

        Args:
            predictions: N samples, C classes.

        Returns:
            The same samples with new logits, float64 [N, C], and whatever the parts add.

        Raises:
            InputError: if the last part ends in probabilities, or as for calling it.
        """
        self._check_use(predictions)
        for part in self.parts_:
            predictions = _transformed(part, predictions)
        return predictions

    def _fit(self, predictions: Predictions, shifted: Sequence[Predictions]) -> None:
        check_order(self.parts)
        parts: list[Calibrator] = []
        for part in self.parts:
            if parts:
                predictions = _transformed(parts[-1], predictions)
                shifted = [_transformed(parts[-1], one) for one in shifted]
            parts.append(unfitted_copy(part).fit(predictions, shifted=shifted))
        self.parts_ = parts

    def _probabilities(self, predictions: Predictions) -> Float64:
        for part in self.parts_[:-1]:
            predictions = _transformed(part, predictions)
        return self.parts_[-1](predictions)

    def _check_restored(self) -> None:
        check_order(self.parts_)


def check_order(parts: Sequence[Calibrator]) -> None:
    """Refuse parts that cannot stand in this order.

    Args:
        parts: of a chain, first to last.

    Raises:
        InputError: if there are none, or one that ends in probabilities is not the last.
    """
    if not parts:
        raise InputError("a chain needs at least one calibrator")
    for part in parts[:-1]:
        if isinstance(part, ProbabilityCalibrator) or not hasattr(part, "transform"):
            raise InputError(f"calibrator '{part.name}' ends in probabilities, so it can only be the last of a chain")


def unfitted_copy(calibrator: Calibrator) -> Calibrator:
    """Make a calibrator with the same parameters that has learned nothing."""
    return type(calibrator)(**calibrator.get_params())


def _transformed(part: Calibrator, predictions: Predictions) -> Predictions:
    if not isinstance(part, LogitCalibrator | Chain):
        raise InputError(f"calibrator '{part.name}' ends in probabilities and has no logits to go on with")
    return part.transform(predictions)
